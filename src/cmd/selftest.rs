//! `gwtool selftest`: gwtool itself on trial.

use super::args::Format;
use super::failure::Failure;
use super::pool::{Item, News, Way};
use super::{Shared, exit, output, pool};
use crate::net::Interrupt;
use crate::reports::selftest as report;
use crate::scenarios::runner::Machine;
use crate::seed::Seed;
use crate::selftest::{self, FURTHER, Job, Ran};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

/// What `selftest` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where all that is left to chance comes from [default: drawn, and printed]
    #[arg(long, value_name = "N")]
    seed: Option<Seed>,
    /// How many runs at a time [default: one a core]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Makes the runs and says what they come to.
pub fn run(args: &Args, shared: Shared, stop: &Interrupt) -> Result<u8, Failure> {
    let began = Instant::now();
    // Short enough to be read out, as everywhere.
    let seed = args
        .seed
        .unwrap_or_else(|| Seed(rand::random::<u32>().into()));
    let jobs = selftest::jobs(seed);
    let announced = format!("{} runs in virtual time, seed {seed}\n", jobs.len());
    match args.format {
        Format::Human if !shared.quiet => output::print(shared.color, &announced)?,
        Format::Json if args.seed.is_none() => output::talk(shared.color, &announced),
        Format::Human | Format::Json => {}
    }
    let Some(runs) = perform(seed, jobs, args, shared, stop)? else {
        output::talk(shared.color, "interrupted: nothing is proved\n");
        return Ok(exit::INTERRUPTED);
    };
    let selftest = selftest::conclude(seed, &runs);
    let text = match args.format {
        Format::Json => report::json(&selftest),
        Format::Human if shared.quiet => report::quiet(&selftest),
        Format::Human => report::human(&selftest, shared.verbose > 0, began.elapsed()),
    };
    output::print(shared.color, &text)?;
    Ok(if selftest.problems.is_empty() {
        exit::DONE
    } else {
        exit::VIOLATES
    })
}

/// Makes the runs, and then, with one further seed after the other, those that have left something open. `None` if the user
/// wanted an end.
fn perform(
    seed: Seed,
    mut jobs: Vec<Job>,
    args: &Args,
    shared: Shared,
    stop: &Interrupt,
) -> Result<Option<Vec<Ran>>, Failure> {
    let threads = args.jobs.or_else(|| thread::available_parallelism().ok());
    let way = Way {
        jobs: threads.map_or(1, NonZeroUsize::get),
        grace: pool::GRACE,
    };
    let bar = progress(jobs.len(), shared);
    let machine = Arc::new(Machine::default());
    let mut runs: Vec<Ran> = Vec::new();
    for further in 1..=FURTHER + 1 {
        let (machine, interrupt) = (Arc::clone(&machine), stop.clone());
        let results = pool::run(
            jobs.into_iter().map(Item::from).collect(),
            way,
            stop,
            move |job: &Job| job.run(&machine, &interrupt),
            |news| {
                if let News::Done(..) = news {
                    bar.inc(1);
                }
                ControlFlow::Continue(())
            },
        );
        if stop.is_raised() {
            bar.finish_and_clear();
            return Ok(None);
        }
        for result in results {
            runs.push(result.map_err(|error| Failure::of(&error))?);
        }
        jobs = if further <= FURTHER {
            selftest::more_jobs(seed.plus(further), &runs)
        } else {
            Vec::new()
        };
        if jobs.is_empty() {
            break;
        }
        bar.inc_length(u64::try_from(jobs.len()).unwrap_or(u64::MAX));
    }
    bar.finish_and_clear();
    Ok(Some(runs))
}

/// Progress on stderr, where somebody watches.
fn progress(runs: usize, shared: Shared) -> ProgressBar {
    if shared.quiet || !output::is_watched() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} runs, {elapsed}")
        .expect("the template is well formed");
    let total = u64::try_from(runs).unwrap_or(u64::MAX);
    ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr()).with_style(style)
}
