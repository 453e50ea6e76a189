//! The line that fits points best.

/// The slope of the line through `points` of which the squares of the distances are least;
/// `None` when no single line is.
pub(crate) fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let (mut count, mut sum_x, mut sum_y) = (0.0, 0.0, 0.0);
    for (x, y) in points {
        count += 1.0;
        sum_x += x;
        sum_y += y;
    }
    let (mean_x, mean_y) = (sum_x / count, sum_y / count);
    let (mut covariance, mut variance) = (0.0, 0.0);
    for (x, y) in points {
        covariance += (x - mean_x) * (y - mean_y);
        variance += (x - mean_x) * (x - mean_x);
    }
    (variance > 0.0).then(|| covariance / variance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_of_a_line_give_its_slope() {
        let line: Vec<(f64, f64)> = (0..9).map(f64::from).map(|x| (x, 7.0 - 2.5 * x)).collect();
        assert!((slope(&line).unwrap() + 2.5).abs() < 1e-9);
    }

    #[test]
    fn a_point_aside_pulls_the_line_a_little() {
        let slope = slope(&[(0.0, 0.0), (1.0, 1.0), (2.0, 5.0)]).unwrap();
        assert!((slope - 2.5).abs() < 1e-9);
    }

    #[test]
    fn one_point_has_no_line() {
        assert_eq!(slope(&[]), None);
        assert_eq!(slope(&[(1.0, 2.0)]), None);
        assert_eq!(slope(&[(1.0, 2.0), (1.0, 3.0)]), None);
    }
}
