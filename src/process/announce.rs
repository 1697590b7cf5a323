//! Tells on stderr what happens: an operator without a monitor reads it in the journal.

use std::io;

use crossbeam_channel::Receiver;

use crate::shared::event::{Event, Level};

/// Starts a thread that prints events until the last sender is gone. Fails where the process may not have one more.
pub(super) fn start(events: Receiver<Event>) -> io::Result<()> {
    let print = move || events.iter().for_each(|event| eprintln!("{}", line(&event)));
    std::thread::Builder::new().name("events".to_owned()).spawn(print).map(drop)
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
