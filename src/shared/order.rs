//! Orders: what an operator may tell the control plane to change, through the admin API or a signal.
//!
//! The control plane is the only one that carries them out, one after the other, and answers each.

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Wish {
    /// `PATCH /api/v1/nodes/{id}`. At least one of the two is there. Both survive a reload.
    SetNode {
        /// Which node.
        node: String,
        /// The state it shall have.
        state: Option<NodeWish>,
        /// The weight it shall have.
        weight: Option<WeightWish>,
    },
    /// `POST /api/v1/backends/{name}/nodes`: start one more.
    AddNode {
        /// Of which backend.
        backend: String,
    },
    /// `DELETE /api/v1/nodes/{id}`: drain it, then stop it, or forget it until the next reload.
    RemoveNode {
        /// Which node.
        node: String,
    },
    /// `POST /api/v1/backends/{name}/scale`.
    Scale {
        /// Which backend.
        backend: String,
        /// How many nodes it shall have from now on.
        replicas: Option<u32>,
        /// Whether the autoscaler decides nothing until told otherwise.
        paused: Option<bool>,
    },
    /// `POST /api/v1/backends/{name}/roll`: replace all nodes of a fleet backend, a batch at a time.
    Roll {
        /// Which backend.
        backend: String,
    },
    /// `POST /api/v1/reload`, and the signal HUP.
    Reload,
}

/// The weights that an operator may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightWish {
    /// This one, `1..=WEIGHT_MAX`.
    Of(u32),
    /// That of the file again.
    OfTheFile,
}

/// The states that an operator may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeWish {
    /// Takes requests, as health allows.
    Ready,
    /// Takes no new requests; those in flight finish.
    Drain,
    /// Takes none, and what is in flight is cut.
    Down,
}

/// An order was not carried out.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    /// Whose fault it is.
    pub fault: Fault,
    /// A word for programs.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// Whose fault a refusal is, and so its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// There is no such thing: 404.
    Unknown,
    /// The order makes no sense: 422.
    Invalid,
    /// It makes sense, but not for this backend or not now: 409.
    Conflict,
    /// What it needs (an engine) does not answer: 503.
    Unavailable,
}

/// What was done, one sentence for a person; or why nothing was.
pub type Outcome = Result<String, Refused>;

/// A wish, and whom to tell what became of it.
pub struct Order {
    /// What is to be done.
    pub wish: Wish,
    /// Takes the outcome; called once.
    pub answer: Box<dyn FnOnce(Outcome) + Send>,
}

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Order").field(&self.wish).finish()
    }
}
