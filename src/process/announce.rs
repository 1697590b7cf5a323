//! Tells on stderr what happens: an operator without a monitor reads it in the journal. Then the monitor gets it.

use std::io;

use crossbeam_channel::{Receiver, bounded};

use crate::logic::limits::EVENTS_WAITING_MAX;
use crate::shared::event::{Event, Level};

/// Starts a thread that prints events, and hands them on, until the last sender is gone. Fails where the process may not
/// have one more. Where nobody takes what is handed on, the oldest stay and the rest is let go: it was printed.
pub(super) fn start(events: Receiver<Event>) -> io::Result<Receiver<Event>> {
    let (onward, happened) = bounded(EVENTS_WAITING_MAX);
    let print = move || {
        for event in &events {
            eprintln!("{}", line(&event));
            let _ = onward.try_send(event);
        }
    };
    std::thread::Builder::new().name("events".to_owned()).spawn(print)?;
    Ok(happened)
}

fn line(event: &Event) -> String {
    // What strangers made (a server's status line, a label) must not write to a terminal.
    let text: String = event.text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match event.level {
        Level::Info => text,
        Level::Warning => format!("warning: {text}"),
        Level::Error => format!("error: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::event::Kind;

    #[test]
    fn a_line_says_how_bad_it_is_and_holds_no_control_characters() {
        let line = |level| line(&Event::now(Kind::Node, level, "a\u{1b}[2Jb\nc"));
        assert_eq!(line(Level::Info), "a [2Jb c");
        assert_eq!(line(Level::Error), "error: a [2Jb c");
        assert_eq!(line(Level::Warning), "warning: a [2Jb c");
    }
}
