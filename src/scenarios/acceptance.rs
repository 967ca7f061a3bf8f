//! Whether what somebody accepted still comes up.
//!
//! An acceptance that outlives its defect would hide the next one. Only an acceptance whose scenarios were all run and judged
//! to their ends is called into question: what was not watched says nothing.

use super::Outcome;
use crate::oracle::Verdict;
use crate::scenarios::Ending;
use crate::subjects::program::Acceptance;

/// The acceptances whose finding no run had, though every scenario that they cover was run and judged. `known` are the names
/// of all scenarios that there are, `runs` what one subject left behind in each, if it could be run.
pub fn stale<'a>(
    accepted: &'a [Acceptance],
    known: &[String],
    runs: &[(&str, Option<&Outcome>)],
) -> Vec<&'a Acceptance> {
    let is_stale = |one: &&Acceptance| {
        let was_seen = runs.iter().any(|(name, outcome)| {
            one.covers(name) && outcome.is_some_and(|outcome| has(outcome, &one.finding))
        });
        let ends: Vec<End> = known
            .iter()
            .filter(|name| one.covers(name))
            .map(|name| End::of(name, runs))
            .collect();
        !was_seen && !ends.contains(&End::Open) && ends.contains(&End::Judged)
    };
    accepted.iter().filter(is_stale).collect()
}

fn has(outcome: &Outcome, id: &str) -> bool {
    outcome
        .judgement
        .findings
        .iter()
        .any(|found| found.id == id)
}

/// What became of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It was judged to its end.
    Judged,
    /// There was nothing to judge.
    Nothing,
    /// It might yet have had the finding.
    Open,
}

impl End {
    fn of(scenario: &str, runs: &[(&str, Option<&Outcome>)]) -> Self {
        let run = runs.iter().find(|(name, _)| *name == scenario);
        let Some(outcome) = run.and_then(|(_, outcome)| *outcome) else {
            return Self::Open;
        };
        match (outcome.ending, outcome.judgement.verdict) {
            (Ending::Complete, Verdict::Conforms | Verdict::Violates) => Self::Judged,
            (Ending::Complete, Verdict::NotJudged) => Self::Nothing,
            _ => Self::Open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expect::Accepted;
    use crate::net::Interrupt;
    use crate::scenarios::{catalogue, runner};
    use crate::seed::Seed;
    use crate::subjects::Name;
    use crate::trace::Clock;

    /// What our client leaves behind where nothing happens, and the Carbon port where it dies.
    fn outcome(subject: Name) -> Outcome {
        let all = catalogue::shipped(Clock::Virtual);
        let race = all.into_iter().find(|one| one.name == "zombie-race");
        let plan = runner::Plan {
            scenario: race.expect("it is in the catalogue"),
            subject: subject.into(),
            seed: Seed(1),
            clock: Clock::Virtual,
            tls: false,
            interval: runner::usual_interval(Clock::Virtual),
            timeout: None,
            keep_entries: false,
            schedule: None,
        };
        let machine = runner::Machine::default();
        runner::run(&plan, &mut [], &machine, &Interrupt::default()).expect("the run is made")
    }

    fn acceptance(scenario: &str) -> Acceptance {
        Acceptance {
            scenario: scenario.to_owned(),
            finding: "died".to_owned(),
            why: Accepted {
                reason: "known".to_owned(),
                link: None,
            },
        }
    }

    /// How many of these acceptances of `died` are stale after these runs of the only three scenarios.
    fn count(scenarios: &[&str], runs: &[(&str, Option<&Outcome>)]) -> usize {
        let accepted: Vec<Acceptance> = scenarios.iter().map(|name| acceptance(name)).collect();
        let known = ["a", "a/1", "b"].map(str::to_owned);
        stale(&accepted, &known, runs).len()
    }

    #[test]
    fn what_every_covered_run_is_without_is_no_longer_seen() {
        let (sound, dead) = (outcome(Name::Gwtool), outcome(Name::Carbon));
        assert!(has(&dead, "died") && !has(&sound, "died"));
        let (sound, dead) = (Some(&sound), Some(&dead));
        assert_eq!(count(&["b"], &[("b", sound)]), 1);
        assert_eq!(count(&["b"], &[("b", dead)]), 0);
        // A name stands for its variants too: one that has it is enough, and all have to be run.
        assert_eq!(count(&["a"], &[("a", sound), ("a/1", dead)]), 0);
        assert_eq!(count(&["a"], &[("a", sound)]), 0);
        assert_eq!(count(&["a"], &[("a", sound), ("a/1", sound)]), 1);
        assert_eq!(count(&["a/1"], &[("a/1", sound)]), 1);
    }

    #[test]
    fn everything_is_covered_only_by_a_run_of_everything() {
        let sound = outcome(Name::Gwtool);
        let sound = Some(&sound);
        assert_eq!(count(&["*"], &[("a", sound), ("a/1", sound)]), 0);
        let all = [("a", sound), ("a/1", sound), ("b", sound)];
        assert_eq!(count(&["*"], &all), 1);
    }

    #[test]
    fn what_was_not_judged_to_the_end_calls_nothing_into_question() {
        let sound = outcome(Name::Gwtool);
        let with = |change: fn(&mut Outcome)| {
            let mut outcome = sound.clone();
            change(&mut outcome);
            count(&["b"], &[("b", Some(&outcome))])
        };
        assert_eq!(with(|_| {}), 1);
        assert_eq!(with(|outcome| outcome.ending = Ending::Interrupted), 0);
        assert_eq!(with(|outcome| outcome.ending = Ending::NotMade), 0);
        let inconclusive =
            |outcome: &mut Outcome| outcome.judgement.verdict = Verdict::Inconclusive;
        assert_eq!(with(inconclusive), 0);
        // Nothing that could have had it was judged.
        let nothing = |outcome: &mut Outcome| outcome.judgement.verdict = Verdict::NotJudged;
        assert_eq!(with(nothing), 0);
        assert_eq!(count(&["b"], &[("b", None)]), 0);
        assert_eq!(count(&["b"], &[]), 0);
    }
}
