//! One list of laws, a test of each on every adapter.

/// Makes a `#[tokio::test]` of each law on each adapter. An adapter is the name of a
/// function `async fn on_x(law: impl AsyncFnOnce(X))`, which sets up an `X`, runs the law
/// on it and takes it down; its tests are in a module of its name.
///
/// ```ignore
/// async fn zero_is_neutral(add: fn(i64, i64) -> i64) {
///     assert_eq!(add(7, 0), 7);
/// }
///
/// async fn on_the_operator(law: impl AsyncFnOnce(fn(i64, i64) -> i64)) {
///     law(|a, b| a + b).await;
/// }
///
/// base::laws! {
///     on_the_operator;
///     zero_is_neutral,
/// }
/// ```
#[macro_export]
macro_rules! laws {
    ($($(#[$when:meta])* $adapter:ident),+; $($law:ident),+ $(,)?) => {
        $crate::laws!(@each [$([$(#[$when])* $adapter])+] [$($law)+]);
    };
    (@each [$([$($adapter:tt)+])+] $laws:tt) => {
        $($crate::laws!(@on [$($adapter)+] $laws);)+
    };
    (@on [$(#[$when:meta])* $adapter:ident] [$($law:ident)+]) => {
        $(#[$when])*
        mod $adapter {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $law() {
                    super::$adapter(async |it| super::$law(it).await).await;
                }
            )+
        }
    };
}
