//! Where results go.

use std::io::Write;
use std::path::Path;

use crate::engine::Failure;
use crate::gate::show_ns;
use crate::plan::Plan;
use crate::result::RunResult;
use crate::result::live::{Observer, Silent};

/// Who watches the run.
pub(super) fn observer(_: &Plan) -> Box<dyn Observer> {
    Box::new(Silent)
}

/// Writes all reports that were asked for.
pub(super) fn write(plan: &Plan, result: &RunResult) -> Result<(), Failure> {
    println!(
        "{:.1}/s p50 {} p99 {} max {} / service p99 {} {:?} {:?} {:?}",
        result.throughput(),
        show_ns(result.response.quantile_ns(0.5) as f64),
        show_ns(result.response.quantile_ns(0.99) as f64),
        show_ns(result.response.max_ns() as f64),
        show_ns(result.service.quantile_ns(0.99) as f64),
        result.totals,
        result.errors,
        result.client
    );
    for note in &result.notes {
        println!("{note}");
    }
    if let Some(path) = &plan.args.json {
        let json = serde_json::to_vec_pretty(result).map_err(|error| Failure(error.to_string()))?;
        save(path, &json)?;
    }
    Ok(())
}

fn save(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let saved = if path.as_os_str() == "-" {
        std::io::stdout().write_all(bytes)
    } else {
        std::fs::write(path, bytes)
    };
    saved.map_err(|error| Failure(format!("{}: {error}", path.display())))
}
