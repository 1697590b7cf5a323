//! Where a run shows itself and its result.

use crate::engine::Failure;
use crate::plan::Plan;
use crate::report::{Live, print};
use crate::result::RunResult;
use crate::result::live::{Observer, Silent};

/// Who watches the run.
pub(super) fn observer(plan: &Plan) -> Box<dyn Observer> {
    if plan.args.quiet { Box::new(Silent) } else { Box::new(Live::new()) }
}

/// Prints the table, writes the files that were asked for.
pub(super) fn write(plan: &Plan, result: &RunResult) -> Result<(), Failure> {
    let to_stdout = plan.args.outputs.use_stdout();
    if !to_stdout {
        print(result).map_err(|error| Failure(format!("cannot print: {error}")))?;
    }
    plan.args.outputs.write(result).map_err(Failure)
}
