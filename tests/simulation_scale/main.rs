//! Scaling under a virtual clock: whole traces of requests against `logic::scale`, and against the algorithm that Knative
//! documents, with the same nodes, the same arrivals and the same data plane. Everything follows from a printed seed.

mod comparison;
mod faults;
mod knative;
mod traces;
mod world;
