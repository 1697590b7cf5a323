//! Docker as the balancer sees it: a scripted socket that answers whatever an engine may answer.

mod calls;
mod engine;
mod stream;
