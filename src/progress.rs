//! The progress of a round on standard error, where that is a terminal. Knows how to move a terminal's cursor, and not what is drawn: that is
//! [`Round`]'s.
//!
//! A thread of its own looks at the board ten times a second; nobody who runs or records a check knows of it. Log lines go through the same [`Screen`],
//! above what is drawn. Between two frames the cursor stands at the beginning of the line below: what else comes to the terminal, such as the `^C` that it
//! echoes, stands there and is cleared with the next frame. (Libraries leave it at the end of the last line, where an echo moves it on, and all that
//! is drawn slips by a line.) It is never hidden, so that it needs not be brought back, however driftrun ends.

use crate::board::Board;
use crate::show::text::Ink;
use crate::show::{Round, Size};
use crate::supervise::Clock;
use std::io::{self, IsTerminal as _};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tracing_subscriber::fmt::MakeWriter;

/// How often the board is looked at. A round that is over by then shows nothing.
const LOOK: Duration = Duration::from_millis(100);

/// A terminal, on which lines are written above a frame that is drawn again and again.
#[derive(Clone, Debug, Default)]
pub struct Screen(Arc<Mutex<String>>);

impl Screen {
    /// That of standard error; `None` where it is no terminal, or one that can't move its cursor (`TERM` is `dumb` or unset).
    pub fn of_stderr() -> Option<Self> {
        let moves = std::env::var("TERM").is_ok_and(|term| !matches!(term.as_str(), "" | "dumb"));
        (moves && io::stderr().is_terminal()).then(Self::default)
    }

    /// Shows how far the checks are, until what it returns is dropped; then nothing of it is left. `None` where the system gives no thread for it.
    #[must_use = "dropped, it shows nothing any more"]
    pub fn follow(&self, board: Arc<Board>) -> Option<Following> {
        let (stop, stopped) = channel();
        let screen = self.clone();
        let draw = move || {
            let mut round = Round::default();
            while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                screen.show("", Some(round.frame(&board.snapshot(), Clock::SYSTEM.now(), size(), ink())));
            }
            screen.show("", Some(String::new()));
        };
        let thread = thread::Builder::new().name("progress".to_owned()).spawn(draw).ok()?;
        Some(Following { stop: Some(stop), thread: Some(thread) })
    }

    /// Writes whole lines above what is drawn, and draws `frame` anew, or what was drawn.
    fn show(&self, above: &str, frame: Option<String>) {
        let mut drawn = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let frame = frame.unwrap_or_else(|| drawn.clone());
        // A terminal that is gone is no reason to stop.
        let _ = io::Write::write_all(&mut io::stderr(), drawn_anew(&drawn, above, &frame).as_bytes());
        *drawn = frame;
    }
}

/// What makes of a terminal that shows `before` one that shows `above` and `frame`. What is the same isn't cleared first: it would flicker.
fn drawn_anew(before: &str, above: &str, frame: &str) -> String {
    let rows = before.lines().count();
    let back = if rows > 0 { format!("\r\x1b[{rows}A") } else { String::new() };
    let clear = if rows > 0 && !above.is_empty() { "\x1b[J" } else { "" };
    let lines: Vec<String> = frame.lines().map(|line| format!("{line}\x1b[K\n")).collect();
    let rest = if rows > 0 { "\x1b[J" } else { "" };
    format!("{back}{clear}{above}{}{rest}", lines.concat())
}

/// Progress that is being shown, until it is dropped.
#[derive(Debug)]
pub struct Following {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Following {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl<'a> MakeWriter<'a> for Screen {
    type Writer = Above<'a>;

    fn make_writer(&'a self) -> Above<'a> {
        Above(self)
    }
}

/// Writes above what is drawn.
#[derive(Debug)]
pub struct Above<'a>(&'a Screen);

impl io::Write for Above<'_> {
    /// Of a log line, which comes whole.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.show(&String::from_utf8_lossy(line), None);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn size() -> Size {
    match rustix::termios::tcgetwinsize(io::stderr()) {
        Ok(size) => Size::new(size.ws_row.into(), size.ws_col.into()),
        Err(_) => Size::new(0, 0),
    }
}

fn ink() -> Ink {
    match anstream::AutoStream::choice(&io::stderr()) {
        anstream::ColorChoice::Never => Ink::Plain,
        _ => Ink::Colours,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_takes_the_place_of_the_one_before_and_lines_stand_above_it() {
        assert_eq!(drawn_anew("", "log\n", ""), "log\n");
        assert_eq!(drawn_anew("", "", "a\nb"), "a\x1b[K\nb\x1b[K\n");
        assert_eq!(drawn_anew("a\nb", "", "c"), "\r\x1b[2Ac\x1b[K\n\x1b[J");
        assert_eq!(drawn_anew("a", "log\n", "a"), "\r\x1b[1A\x1b[Jlog\na\x1b[K\n\x1b[J");
        assert_eq!(drawn_anew("a\nb", "", ""), "\r\x1b[2A\x1b[J");
    }
}
