//! What the kernel asks for a small write and a small read on loopback, and for waking up
//! somebody who sleeps.

use std::io::{Error, ErrorKind, Read as _, Result, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use rustix::event::epoll;
use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

use super::Times;
use crate::report::float;

/// A server's frame of a short message: text, unmasked, 146 bytes of payload.
const HEAD: [u8; 4] = [0x81, 126, 0, 146];
const FRAME: usize = 150;
/// Between two pings: long enough for a core to fall asleep.
const PAUSE: Duration = Duration::from_millis(20);

/// CPU time of a thread for each frame, in microseconds.
pub(super) struct Cost {
    pub(super) write: f64,
    pub(super) read: f64,
}

/// Lets one thread write a frame to each of `connections`, in rounds for `length`, while
/// another one reads them as they come.
pub(super) fn fan_out(connections: u16, length: Duration) -> Result<Cost> {
    let pairs: Vec<(TcpStream, TcpStream)> =
        (0..connections).map(|_| pair()).collect::<Result<_>>()?;
    let (writing, reading): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    let (round_read, round) = sync_channel(1);
    let reader = std::thread::spawn(move || read_rounds(&reading, &round_read));

    let mut frame = [b'x'; FRAME];
    frame[..HEAD.len()].copy_from_slice(&HEAD);
    let (mut rounds, before) = (0_u64, cpu());
    let stop = Instant::now() + length;
    while Instant::now() < stop {
        for mut stream in &writing {
            stream.write_all(&frame)?;
        }
        rounds += 1;
        round.recv().map_err(Error::other)?;
    }
    let written = cpu().saturating_sub(before);
    // Their other ends see it, and that is the end of the reader.
    drop(writing);
    let read = reader.join().map_err(|_| Error::other("nobody reads"))??;
    let frames = float(rounds * u64::from(connections));
    Ok(Cost {
        write: written.as_secs_f64() * 1e6 / frames,
        read: read.as_secs_f64() * 1e6 / frames,
    })
}

/// Reads from all of `streams` as something comes, says so when each had a frame, and gives
/// the CPU time that it took when the other side has gone.
fn read_rounds(streams: &[TcpStream], round_read: &SyncSender<()>) -> Result<Duration> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for (index, stream) in (0..).zip(streams) {
        let data = epoll::EventData::new_u64(index);
        epoll::add(&epoll, stream, data, epoll::EventFlags::IN)?;
    }
    let mut events = Vec::with_capacity(streams.len());
    let (mut buffer, mut bytes) = ([0; 4 * FRAME], 0);
    let before = cpu();
    loop {
        events.clear();
        epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in &events {
            let index = usize::try_from(event.data.u64()).unwrap_or(usize::MAX);
            let mut stream = streams.get(index).ok_or(ErrorKind::NotFound)?;
            let read = stream.read(&mut buffer)?;
            if read == 0 {
                return Ok(cpu().saturating_sub(before));
            }
            bytes += read;
        }
        if bytes >= streams.len() * FRAME {
            bytes = 0;
            round_read.send(()).map_err(Error::other)?;
        }
    }
}

/// Sends a frame to a thread that sleeps and waits for it to come back, at a slow pace for
/// `length`.
pub(super) fn ping_pong(length: Duration) -> Result<Times> {
    let (mut near, mut far) = pair()?;
    let echo = std::thread::spawn(move || -> Result<()> {
        let mut frame = [0; FRAME];
        while far.read_exact(&mut frame).is_ok() {
            far.write_all(&frame)?;
        }
        Ok(())
    });
    let (mut times, mut frame) = (Times::new()?, [b'x'; FRAME]);
    let stop = Instant::now() + length;
    while Instant::now() < stop {
        std::thread::sleep(PAUSE);
        let begun = Instant::now();
        near.write_all(&frame)?;
        near.read_exact(&mut frame)?;
        times.note(begun.elapsed());
    }
    drop(near);
    echo.join().map_err(|_| Error::other("nobody answers"))??;
    Ok(times)
}

/// The two ends of a new connection.
fn pair() -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    let (far, _) = listener.accept()?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    Ok((near, far))
}

/// What this thread has used so far.
fn cpu() -> Duration {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    // No clock of the kernel's gives other than 0 to 999,999,999 nanoseconds.
    let seconds = u64::try_from(used.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(used.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_and_a_read_cost_something() {
        let cost = fan_out(3, Duration::from_millis(20)).unwrap();
        assert!(cost.write > 0.0 && cost.read > 0.0);
    }

    #[test]
    fn who_sleeps_wakes_up_and_answers() {
        let times = ping_pong(Duration::from_millis(50)).unwrap();
        assert!((1..=3).contains(&times.micros.len()));
    }
}
