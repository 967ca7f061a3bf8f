//! The docket: what the judge has found so far, and how often each rule was exercised and kept.
//!
//! The groups of rules write into it as entries come by. A rule that is broken again and again is told three times and then
//! counted, so that the memory of a judge does not grow with the length of a run.

use super::coverage::{Coverage, Scene, Scenes, Strikes};
use super::rules::{self, Rule};
use super::{Effect, Finding, FindingKind, RuleCount, RuleLevel};
use crate::time::Instant;
use crate::trace::Vantage;
use std::collections::BTreeMap;

/// How often one finding is told in full.
const TOLD: u64 = 3;

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    exercised: u64,
    kept: u64,
    /// Findings, by effect: fails, shown, note.
    found: [u64; 3],
    scenes: Scenes,
}

impl Count {
    fn exercise(&mut self, scene: Scene) {
        self.exercised += 1;
        self.scenes.add(scene);
    }
}

/// What was found so far.
#[derive(Debug)]
pub(super) struct Docket {
    vantage: Vantage,
    counts: Vec<Count>,
    findings: Vec<Finding>,
    /// How many of them have been given out as fresh.
    witnessed: usize,
    /// Outcomes that came again and are not told, by id.
    more: BTreeMap<String, u64>,
    /// Where what is judged now was seen.
    pub(super) scene: Scene,
    /// Rules are judged only while it is; a subject that was told to stop need not keep them.
    pub(super) is_open: bool,
}

impl Docket {
    pub(super) fn new(vantage: Vantage) -> Self {
        Self {
            vantage,
            counts: vec![Count::default(); rules::all().len()],
            findings: Vec::new(),
            witnessed: 0,
            more: BTreeMap::new(),
            scene: Scene::default(),
            is_open: true,
        }
    }

    fn judges(&self, rule: Rule) -> bool {
        self.is_open && rule.info().vantages.contains(&self.vantage)
    }

    /// There was occasion to break the rule, and it was kept.
    pub(super) fn kept(&mut self, rule: Rule) {
        if self.judges(rule) {
            let count = &mut self.counts[rule as usize];
            count.exercise(self.scene);
            count.kept += 1;
        }
    }

    /// The rule was broken; what it does to the verdict follows from its level.
    pub(super) fn broken(
        &mut self,
        rule: Rule,
        at: Instant,
        connection: Option<u32>,
        text: impl FnOnce() -> (String, String),
    ) {
        let effect = match rule.info().level {
            RuleLevel::Must => Effect::Fails,
            RuleLevel::Should => Effect::Shown,
        };
        self.found(rule, effect, at, connection, text);
    }

    /// The rule was not kept to the letter, with another effect than its level's.
    pub(super) fn found(
        &mut self,
        rule: Rule,
        effect: Effect,
        at: Instant,
        connection: Option<u32>,
        text: impl FnOnce() -> (String, String),
    ) {
        if !self.judges(rule) {
            return;
        }
        let count = &mut self.counts[rule as usize];
        count.exercise(self.scene);
        if effect == Effect::Note {
            count.kept += 1;
        }
        let found = &mut count.found[effect as usize];
        *found += 1;
        if *found <= TOLD {
            let (seen, expected) = text();
            self.findings.push(Finding {
                kind: FindingKind::Rule,
                id: rule.info().id.to_owned(),
                effect,
                at,
                connection,
                seen,
                expected,
                evidence: Vec::new(),
                accepted: None,
            });
        }
    }

    /// Any other finding.
    pub(super) fn push(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Whether one of these was found and fails the run.
    pub(super) fn has_failed_by(&self, ids: &[&str]) -> bool {
        let is_one = |found: &&Finding| ids.contains(&found.id.as_str());
        let mut found = self.findings.iter().filter(is_one);
        found.any(|found| found.effect == Effect::Fails)
    }

    /// An outcome that may come again and again: told three times, then counted.
    pub(super) fn push_again(&mut self, finding: Finding) {
        let same = self.findings.iter().filter(|told| told.id == finding.id);
        if same.count() as u64 >= TOLD {
            *self.more.entry(finding.id).or_default() += 1;
        } else {
            self.findings.push(finding);
        }
    }

    /// What was found since this was last asked.
    pub(super) fn fresh(&mut self) -> impl Iterator<Item = &mut Finding> {
        let from = std::mem::replace(&mut self.witnessed, self.findings.len());
        self.findings[from..].iter_mut()
    }

    /// The findings in the order of time, the counts of the rules that were exercised, and where they were.
    pub(super) fn close(mut self, strikes: &Strikes) -> (Vec<Finding>, Vec<RuleCount>, Coverage) {
        for (rule, count) in rules::all().iter().zip(&self.counts) {
            for effect in [Effect::Fails, Effect::Shown, Effect::Note] {
                let more = count.found[effect as usize].saturating_sub(TOLD);
                let mut same = self.findings.iter_mut().rev();
                let last = same.find(|f| f.id == rule.id && f.effect == effect);
                if let Some(last) = last.filter(|_| more > 0) {
                    last.seen += " (and ";
                    last.seen += &more.to_string();
                    last.seen += " more)";
                }
            }
        }
        for (id, more) in &self.more {
            if let Some(last) = self.findings.iter_mut().rev().find(|f| f.id == *id) {
                last.seen = format!("{} (and {more} more)", last.seen);
            }
        }
        self.findings.sort_by_key(|finding| finding.at);
        let exercised = rules::all().iter().zip(&self.counts);
        let exercised = exercised.filter(|(_, count)| count.exercised > 0);
        let scenes = exercised
            .clone()
            .map(|(rule, count)| (rule.id, &count.scenes));
        let coverage = strikes.coverage(scenes);
        let counts = exercised.map(|(rule, count)| RuleCount {
            rule: rule.id,
            exercised: count.exercised,
            kept: count.kept,
        });
        (self.findings, counts.collect(), coverage)
    }
}
