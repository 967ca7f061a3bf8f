//! `gwtool selftest`: gwtool itself on trial.

use super::args::Format;
use super::failure::Failure;
use super::pool::{Item, News, Way};
use super::{Shared, exit, output, pool};
use crate::net::Interrupt;
use crate::reports::selftest as report;
use crate::scenarios::runner::Machine;
use crate::seed::Seed;
use crate::selftest;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
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
    let runs = jobs.len();
    let announced = format!("{runs} runs in virtual time, seed {seed}\n");
    match args.format {
        Format::Human => output::print(shared.color, &announced)?,
        Format::Json if args.seed.is_none() => output::talk(shared.color, &announced),
        Format::Json => {}
    }
    let threads = args.jobs.or_else(|| thread::available_parallelism().ok());
    let way = Way {
        jobs: threads.map_or(1, NonZeroUsize::get),
        grace: pool::GRACE,
    };
    let bar = progress(runs, shared);
    let (machine, interrupt) = (Machine::default(), stop.clone());
    let results = pool::run(
        jobs.into_iter().map(Item::from).collect(),
        way,
        stop,
        move |job| job.run(&machine, &interrupt),
        |news| {
            if let News::Done(..) = news {
                bar.inc(1);
            }
            ControlFlow::Continue(())
        },
    );
    bar.finish_and_clear();
    if stop.is_raised() {
        return Ok(exit::INTERRUPTED);
    }
    let runs: Vec<selftest::Ran> = results
        .into_iter()
        .collect::<Result<_, _>>()
        .map_err(|error| Failure::of(&error))?;
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
