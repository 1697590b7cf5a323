//! A run from the command line to the exit code.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::available_parallelism;

use crate::assemble::assemble;
use crate::cli::RunArgs;
use crate::console::tell;
use crate::engine::{Engine, Failure};
use crate::events::Listener;
use crate::gate::search::Search;
use crate::gate::{Gate, show_ns};
use crate::open_files;
use crate::plan::Plan;
use crate::plan::job::Places;
use crate::result::live::Observer;
use crate::result::{FindMax, FindStep, RunResult};
use crate::schedule::Load;
use crate::signals;

/// Usage.
pub(crate) const USAGE: u8 = 2;
/// A condition of `--slo` or `--find-max` was broken.
const BROKEN_PROMISE: u8 = 99;
/// A rate counts as reached when this share of it was answered.
const REACHED: f64 = 0.98;

/// Runs what the command line asks for.
#[must_use]
pub fn run(args: RunArgs) -> ExitCode {
    let cores = available_parallelism().map_or(1, usize::from);
    let plan = match Plan::new(args, cores) {
        Ok(plan) => plan,
        Err(error) => {
            tell(format_args!("loadgen: {error}\nTry `loadgen --help`."));
            return ExitCode::from(USAGE);
        }
    };
    match measure(&plan) {
        Ok(result) => verdict(&result),
        Err(failure) => {
            tell(format_args!("loadgen: {failure}"));
            ExitCode::FAILURE
        }
    }
}

fn measure(plan: &Plan) -> Result<RunResult, Failure> {
    let mut observer = output::observer(plan);
    let session = Session::begin(plan)?;
    let result = match &plan.find_max {
        Some(gate) => session.search(gate, observer.as_mut())?,
        None => session.once(observer.as_mut())?,
    };
    output::write(plan, &result)?;
    Ok(result)
}

/// What the exit code says. A broken promise says more than that nothing came; a search that was broken off says
/// neither that there is a highest rate nor that there is none.
fn verdict(result: &RunResult) -> ExitCode {
    if let Some(search) = result.find_max.as_ref().filter(|_| result.interrupted) {
        let best = search.best_rate.map_or_else(|| "no rate".to_owned(), |rate| format!("{rate}/s"));
        tell(format_args!(
            "loadgen: the search was interrupted: {best} kept its promise so far, which is not the end."
        ));
        return ExitCode::FAILURE;
    }
    let lost = result.find_max.as_ref().is_some_and(|search| search.best_rate.is_none());
    if lost || result.slo.iter().any(|outcome| !outcome.passed) {
        return ExitCode::from(BROKEN_PROMISE);
    }
    if result.totals.completed == 0 {
        tell("loadgen: not one whole answer came; see the errors above.");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Threads and addresses, ready for one run or many.
struct Session<'a> {
    plan: &'a Plan,
    places: Places,
    engine: Engine,
    signals: Arc<AtomicU8>,
}

impl<'a> Session<'a> {
    fn begin(plan: &'a Plan) -> Result<Self, Failure> {
        open_files::raise();
        open_files::check(plan)?;
        let signals = signals::count().map_err(|error| Failure(format!("no signal handler: {error}")))?;
        let places = Places::find(plan)?;
        let engine = Engine::start(plan.threads as usize, plan.args.driver)?;
        Ok(Self { plan, places, engine, signals })
    }

    fn once(&self, observer: &mut dyn Observer) -> Result<RunResult, Failure> {
        let mut result = self.measure(self.plan.load(), "", observer)?;
        if let Some(gate) = &self.plan.slo {
            result.slo = gate.judge(&result);
        }
        Ok(result)
    }

    fn is_interrupted(&self) -> bool {
        self.signals.load(Ordering::Relaxed) > 0
    }

    fn measure(
        &self,
        load: Option<Load>,
        label: &str,
        observer: &mut dyn Observer,
    ) -> Result<RunResult, Failure> {
        let token = self.plan.events_token.as_deref();
        let listener = self.plan.args.events.as_deref().map(|url| Listener::start(url, token)).transpose()?;
        let job = Arc::new(self.places.job(self.plan, load.clone()));
        let outcome = self.engine.run(&job, label, &self.signals, observer)?;
        let mut result = assemble(self.plan, self.engine.driver(), load.as_ref(), &outcome);
        if let Some(listener) = listener {
            let (events, notes) = listener.end(outcome.epoch + self.plan.args.warmup);
            result.events = events;
            result.notes.extend(notes);
        }
        observer.finished(&result);
        Ok(result)
    }

    /// Tries rate after rate. The result is that of the best one, or of the lowest when none passed.
    fn search(&self, gate: &Gate, observer: &mut dyn Observer) -> Result<RunResult, Failure> {
        let mut search = Search::new(self.plan.first_rate(), crate::cli::amount::RATE_MAX);
        let mut steps: Vec<FindStep> = Vec::new();
        let mut kept: Option<RunResult> = None;
        let mut interrupted = false;
        while let Some(rate) = search.next_rate() {
            let label = format!("try {}: {}/s", search.tries() + 1, rate);
            let measured = self.measure(Some(self.plan.load_at(rate)), &label, observer);
            let broken_off = measured.as_ref().map_or(self.is_interrupted(), |result| result.interrupted);
            if broken_off && (measured.is_ok() || kept.is_some()) {
                interrupted = true;
                break;
            }
            let mut result = measured?;
            result.slo = gate.judge(&result);
            let step = step(rate, &result);
            search.record(rate, step.passed);
            observer.note(&line(&step));
            let better = if step.passed { search.best() == Some(rate) } else { search.best().is_none() };
            if better || kept.is_none() {
                kept = Some(result);
            }
            steps.push(step);
        }
        let mut result = kept.ok_or_else(|| Failure("interrupted before the first try ended".to_owned()))?;
        result.interrupted = interrupted;
        result.find_max = Some(FindMax { goal: gate.to_string(), best_rate: search.best(), steps });
        Ok(result)
    }
}

fn step(rate: f64, result: &RunResult) -> FindStep {
    let achieved = result.throughput();
    let broken_promises = result.slo.iter().filter(|outcome| !outcome.passed);
    let mut broken: Vec<String> = broken_promises
        .map(|outcome| format!("{}, wanted {}", outcome.measured, outcome.condition))
        .collect();
    if achieved < rate * REACHED {
        broken.push(format!("only {achieved:.0}/s of {rate:.0}/s were answered"));
    }
    if result.client.bottleneck && !broken.is_empty() {
        broken.push("the client was the bottleneck".to_owned());
    }
    FindStep {
        rate,
        achieved,
        p50_ns: result.response.quantile_ns(0.5),
        p99_ns: result.response.quantile_ns(0.99),
        error_ratio: result.totals.error_ratio(),
        passed: broken.is_empty(),
        broken,
    }
}

fn line(step: &FindStep) -> String {
    let mark = if step.passed { '✓' } else { '✗' };
    let (p50, p99) = (show_ns(step.p50_ns as f64), show_ns(step.p99_ns as f64));
    let why = if step.passed { String::new() } else { format!("  ({})", step.broken.join("; ")) };
    format!("{mark} {:>9.0}/s  answered {:>9.0}/s  p50 {p50}  p99 {p99}{why}", step.rate, step.achieved)
}

mod output;
