//! What keys do.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::board::{Board, Deed, Order};

/// Obeys a key. A change of a node is asked for first, and done at the `y` that follows.
pub(super) fn press(board: &mut Board, key: KeyEvent) -> Deed {
    if key.kind == KeyEventKind::Release {
        return Deed::Nothing;
    }
    if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
        return Deed::Leave;
    }
    if let Some((node, state)) = board.asked.take() {
        return if key.code == KeyCode::Char('y') { Deed::Set { node, state } } else { Deed::Nothing };
    }
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => return Deed::Leave,
        KeyCode::Up | KeyCode::Char('k') => board.selected = board.selected.saturating_sub(1),
        KeyCode::Down | KeyCode::Char('j') => {
            let last = board.nodes().len().saturating_sub(1);
            board.selected = (board.selected + 1).min(last);
        }
        KeyCode::Char('s') => board.order = next(board.order),
        KeyCode::Char('p') => board.paused = !board.paused,
        KeyCode::Char('d') => ask(board, "drain"),
        KeyCode::Char('r') => ask(board, "ready"),
        _ => {}
    }
    Deed::Nothing
}

fn ask(board: &mut Board, state: &'static str) {
    board.said.clear();
    board.asked = board.selected_node().map(|node| (node, state));
}

fn next(order: Order) -> Order {
    match order {
        Order::Name => Order::Rps,
        Order::Rps => Order::P99,
        Order::P99 => Order::Errors,
        Order::Errors => Order::Name,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn board() -> Board {
        let mut board = Board::default();
        board.take(json!({ "type": "tick", "nodes": [
            { "id": "a", "rps": 1.0 }, { "id": "b", "rps": 3.0 }, { "id": "c", "rps": 2.0 },
        ] }));
        board
    }

    fn press_all(board: &mut Board, keys: &str) -> Vec<Deed> {
        let event = |key| KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE);
        keys.chars().map(|key| press(board, event(key))).filter(|deed| *deed != Deed::Nothing).collect()
    }

    #[test]
    fn a_node_is_drained_only_after_a_yes() {
        let mut board = board();
        assert!(press_all(&mut board, "dn").is_empty());
        assert_eq!(press_all(&mut board, "jdy"), [Deed::Set { node: "b".into(), state: "drain" }]);
        assert_eq!(press_all(&mut board, "ry"), [Deed::Set { node: "b".into(), state: "ready" }]);
        assert!(press_all(&mut board, "y").is_empty());
    }

    #[test]
    fn the_order_follows_its_key_and_the_selection_stays_in_the_list() {
        let mut board = board();
        press_all(&mut board, "s");
        let ids: Vec<_> = board.nodes().iter().map(|node| node["id"].clone()).collect();
        assert_eq!(ids, ["b", "c", "a"]);
        press_all(&mut board, "jjjjjj");
        assert_eq!(board.selected, 2);
        assert_eq!(press_all(&mut board, "q"), [Deed::Leave]);
    }
}
