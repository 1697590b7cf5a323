//! Where a run shows itself and its result.

use crate::engine::Failure;
use crate::plan::Plan;
use crate::report::Live;
use crate::result::RunResult;
use crate::result::live::{Observer, Silent};

/// Who watches the run.
pub(super) fn observer(plan: &Plan) -> Box<dyn Observer> {
    if plan.args.quiet { Box::new(Silent) } else { Box::new(Live::new()) }
}

/// Writes the files that were asked for and prints the table.
pub(super) fn write(plan: &Plan, result: &RunResult) -> Result<(), Failure> {
    plan.args.outputs.write_and_print(result, false).map_err(Failure)
}
