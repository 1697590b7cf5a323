//! A worker in its steady state allocates nothing for a request: all that it needs is pooled. One test, so that no other
//! worker allocates meanwhile.

mod counting;
mod steady_state;
