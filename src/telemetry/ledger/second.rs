//! What was merged since the monitor last looked: the numbers of one second.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::sync::Arc;

use serde::Serialize;

use super::entry::RouteKey;
use crate::shared::report::Durations;
use crate::telemetry::cells::Cells;

/// Requests that ended, by the class of their status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Classes {
    /// The client left before it got a status.
    pub none: u64,
    /// 1xx.
    #[serde(rename = "1xx")]
    pub interim: u64,
    /// 2xx.
    #[serde(rename = "2xx")]
    pub success: u64,
    /// 3xx.
    #[serde(rename = "3xx")]
    pub redirect: u64,
    /// 4xx.
    #[serde(rename = "4xx")]
    pub client_error: u64,
    /// 5xx.
    #[serde(rename = "5xx")]
    pub server_error: u64,
}

impl Classes {
    /// Adds requests of one status.
    pub fn count(&mut self, code: u16, requests: u64) {
        let class = match code / 100 {
            0 => &mut self.none,
            1 => &mut self.interim,
            2 => &mut self.success,
            3 => &mut self.redirect,
            4 => &mut self.client_error,
            _ => &mut self.server_error,
        };
        *class += requests;
    }

    /// In the order of the fields.
    pub fn as_array(&self) -> [u64; 6] {
        [self.none, self.interim, self.success, self.redirect, self.client_error, self.server_error]
    }

    /// All of them.
    pub fn sum(&self) -> u64 {
        self.as_array().iter().sum()
    }
}

impl AddAssign for Classes {
    fn add_assign(&mut self, other: Self) {
        self.none += other.none;
        self.interim += other.interim;
        self.success += other.success;
        self.redirect += other.redirect;
        self.client_error += other.client_error;
        self.server_error += other.server_error;
    }
}

/// Requests of one name in one second.
#[derive(Debug, Clone, Default)]
pub struct Pending {
    /// How they ended.
    pub classes: Classes,
    /// How long they took.
    pub whole: Cells,
}

impl Pending {
    pub(super) fn add(&mut self, codes: &[(u16, u64)], durations: &Durations) {
        codes.iter().for_each(|&(code, requests)| self.classes.count(code, requests));
        if !durations.is_empty() {
            self.whole.join(&Cells::of(durations));
        }
    }

    /// Adds others.
    pub fn join(&mut self, other: &Self) {
        self.classes += other.classes;
        self.whole.join(&other.whole);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.classes == Classes::default()
    }
}

/// All names that saw a request.
#[derive(Debug, Default)]
pub struct Second {
    /// By listener, route and backend.
    pub routes: BTreeMap<RouteKey, Pending>,
    /// By id of the node. Statuses are not known by node.
    pub nodes: BTreeMap<Arc<str>, Pending>,
}

impl Second {
    /// Requests of all routes for which `wanted` holds, added up.
    pub fn sum(&self, wanted: impl Fn(&RouteKey) -> bool) -> Pending {
        let mut sum = Pending::default();
        self.routes.iter().filter(|(key, _)| wanted(key)).for_each(|(_, pending)| sum.join(pending));
        sum
    }
}
