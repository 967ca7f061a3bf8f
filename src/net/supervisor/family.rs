//! What programs started, however far it went: who belongs to whom, who has ended, and how signals reach them all.
//!
//! On Linux the supervisor adopts whatever loses its parent, so that every descendant can be found in `/proc` until it is
//! reaped, whatever session or process group it moved to. Elsewhere there are process groups only, and what leaves its
//! program's group is lost. Nothing here waits, and nothing knows of orders and reports.

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::io;

/// The programs that were started, with everything that they started.
#[derive(Debug)]
pub(super) struct Family {
    programs: Vec<Program>,
    /// Whether there was nobody left when it was last looked for the dead.
    is_alone: bool,
}

/// One program that was started; it leads a process group.
#[derive(Debug)]
struct Program {
    child: u32,
    pid: i32,
    has_exited: bool,
    /// Whether it has exited and had left nobody: its number may be another's by now.
    is_released: bool,
}

/// A process that is alive: a program, or something that one started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Relative {
    pid: i32,
    /// With the pid it names a process for good.
    start: u64,
    group: i32,
    /// Whose it is; `None` where that cannot be told any more.
    pub(super) child: Option<u32>,
}

/// A process, and never another one that has got its number.
pub(super) type Identity = (i32, u64);

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exit {
    pub(super) code: Option<i32>,
    pub(super) signal: Option<i32>,
}

impl Family {
    /// Nobody yet. From here on, what loses its parent is adopted, where the system can do that.
    pub(super) fn new() -> io::Result<Self> {
        system::adopt()?;
        Ok(Self {
            programs: Vec::new(),
            is_alone: true,
        })
    }

    /// What a program's environment has to hold, so that what leaves its group can be told from what another one started.
    pub(super) fn mark(child: u32) -> Option<(&'static str, String)> {
        system::mark(child)
    }

    pub(super) fn add(&mut self, child: u32, pid: Pid) {
        self.is_alone = false;
        self.programs.push(Program {
            child,
            pid: pid.as_raw_pid(),
            has_exited: false,
            is_released: false,
        });
    }

    pub(super) fn knows(&self, child: u32) -> bool {
        self.programs.iter().any(|program| program.child == child)
    }

    /// Whether the program itself has not exited.
    pub(super) fn is_running(&self, child: u32) -> bool {
        let is_it = |program: &Program| program.child == child && !program.has_exited;
        self.programs.iter().any(is_it)
    }

    /// Whether there was nobody left, neither programs nor anything that they started, when [`Self::reap`] was last called.
    pub(super) const fn is_alone(&self) -> bool {
        self.is_alone
    }

    /// Takes in who has ended, adopted ones too; gives the programs among them.
    pub(super) fn reap(&mut self) -> Vec<(u32, Exit)> {
        let (ended, is_alone) = system::reap(&self.programs);
        self.is_alone = is_alone;
        let mut exits = Vec::new();
        for (pid, exit) in ended {
            let mut programs = self.programs.iter_mut();
            // An adopted process may have got the number of a program that is long gone.
            if let Some(program) = programs.find(|known| known.pid == pid && !known.has_exited) {
                program.has_exited = true;
                exits.push((program.child, exit));
            }
        }
        exits
    }

    /// Forgets a program that has exited and has left nobody.
    pub(super) fn release(&mut self, child: u32) {
        let mut programs = self.programs.iter_mut();
        if let Some(program) = programs.find(|program| program.child == child) {
            system::release(program);
            program.is_released = true;
        }
    }

    /// Who is alive and belongs to a child of which `whose` holds.
    pub(super) fn living(&self, whose: impl Fn(Option<u32>) -> bool) -> Vec<Relative> {
        let mut living = system::living(&self.programs);
        living.retain(|relative| whose(relative.child));
        living
    }

    /// Sends signals to everybody who belongs to a child of which `whose` holds; gives who that was, as far as it is known.
    ///
    /// Groups are signalled as such: nobody escapes by starting another process at that moment.
    pub(super) fn send(
        &self,
        signals: &[Signal],
        whose: impl Fn(Option<u32>) -> bool,
    ) -> Vec<Relative> {
        let living = self.living(&whose);
        let is_meant = |program: &&Program| {
            // Once the program is gone its number is its group's only as long as somebody is in the group.
            let is_theirs = living.iter().any(|relative| relative.group == program.pid);
            let is_there = !program.has_exited || (is_theirs && !program.is_released);
            whose(Some(program.child)) && is_there
        };
        let groups = self.programs.iter().filter(is_meant);
        let groups: Vec<i32> = groups.map(|program| program.pid).collect();
        let others = living
            .iter()
            .filter(|relative| !groups.contains(&relative.group));
        for signal in signals {
            // Who has ended meanwhile needs no signal, and to whom we may not send any we cannot.
            for group in groups.iter().filter_map(|group| Pid::from_raw(*group)) {
                let _ = kill_process_group(group, *signal);
            }
            for pid in others.clone().filter_map(|other| Pid::from_raw(other.pid)) {
                let _ = kill_process(pid, *signal);
            }
        }
        living
    }
}

impl Relative {
    pub(super) const fn identity(self) -> Identity {
        (self.pid, self.start)
    }
}

#[cfg(target_os = "linux")]
mod system {
    //! `/proc`, and adoption.

    use super::{Exit, Program, Relative};
    use rustix::io::Errno;
    use rustix::process::{WaitOptions, getpid, set_child_subreaper, wait};
    use std::collections::BTreeMap;
    use std::{fs, io, process};

    /// In the environment of a program, and so of what it starts: whose it is. The supervisor's own id is in it because gwtool
    /// may be run by a program that gwtool runs.
    const MARK: &str = "GWTOOL_CHILD";

    #[expect(clippy::unnecessary_wraps, reason = "elsewhere a mark is of no use")]
    pub(super) fn mark(child: u32) -> Option<(&'static str, String)> {
        Some((MARK, format!("{}:{child}", process::id())))
    }

    pub(super) fn adopt() -> io::Result<()> {
        Ok(set_child_subreaper(Some(getpid()))?)
    }

    /// Who has ended, and whether nobody is left.
    pub(super) fn reap(_: &[Program]) -> (Vec<(i32, Exit)>, bool) {
        let mut exits = Vec::new();
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    let exit = Exit {
                        code: status.exit_status(),
                        signal: status.terminating_signal(),
                    };
                    exits.push((pid.as_raw_pid(), exit));
                }
                Err(Errno::INTR) => {}
                // Whoever is below us hangs on a child of ours: without children there is nobody.
                other => return (exits, matches!(other, Err(Errno::CHILD))),
            }
        }
    }

    /// The dead are reaped as they die.
    pub(super) fn release(_: &Program) {}

    /// One process, as `/proc/PID/stat` has it.
    struct Stat {
        parent: i32,
        group: i32,
        /// Whether it only waits to be reaped.
        is_dead: bool,
        /// When it started, in ticks since the machine did: with the pid it names a process for good.
        start: u64,
    }

    pub(super) fn living(programs: &[Program]) -> Vec<Relative> {
        let found = look(programs);
        if found.is_empty() {
            // Of one whose parent ended while we looked, the tie is not seen; at a second look we are its parent.
            return look(programs);
        }
        found
    }

    fn look(programs: &[Program]) -> Vec<Relative> {
        let processes = processes();
        let relative = |(pid, stat): (&i32, &Stat)| {
            let line = line(*pid, &processes)?;
            Some(Relative {
                pid: *pid,
                start: stat.start,
                group: stat.group,
                child: whose(&line, programs),
            })
        };
        let living = processes.iter().filter(|(_, stat)| !stat.is_dead);
        living.filter_map(relative).collect()
    }

    /// A process and its group, its parent and its group, and so on up to a child of ours; `None` for a stranger.
    fn line(pid: i32, processes: &BTreeMap<i32, Stat>) -> Option<Vec<(i32, i32)>> {
        let own = getpid().as_raw_pid();
        let mut line = Vec::new();
        let mut at = pid;
        // What was read at different moments might make a ring.
        while line.len() < processes.len() {
            let stat = processes.get(&at)?;
            line.push((at, stat.group));
            if stat.parent == own {
                return Some(line);
            }
            at = stat.parent;
        }
        None
    }

    /// Whose a process is: by its own group or a forefather's, by its parents, or by its environment.
    fn whose(line: &[(i32, i32)], programs: &[Program]) -> Option<u32> {
        let of = |(pid, group): &(i32, i32)| {
            let is_its =
                |program: &&Program| !program.is_released && [*pid, *group].contains(&program.pid);
            programs.iter().find(is_its).map(|program| program.child)
        };
        let by_family = line.iter().find_map(of);
        // What cleared its own environment was started by something that may have kept it.
        by_family.or_else(|| line.iter().find_map(|(pid, _)| marked(*pid)))
    }

    /// Whose a process is by its environment.
    fn marked(pid: i32) -> Option<u32> {
        let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
        let wanted = format!("{MARK}={}:", process::id());
        let mut variables = environment.split(|byte| *byte == 0);
        let child = variables.find_map(|variable| variable.strip_prefix(wanted.as_bytes()))?;
        str::from_utf8(child).ok()?.parse().ok()
    }

    /// Everything that runs. What ends while we look may be missing.
    fn processes() -> BTreeMap<i32, Stat> {
        let Ok(entries) = fs::read_dir("/proc") else {
            return BTreeMap::new();
        };
        let pids =
            entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
        let stat = |pid| {
            let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
            Some((pid, parse(&String::from_utf8_lossy(&text))?))
        };
        pids.filter_map(stat).collect()
    }

    /// See `proc_pid_stat(5)`: the name, in parentheses, may hold anything; after it come state, parent, group, and later the
    /// number of threads (20) and the start (22).
    fn parse(text: &str) -> Option<Stat> {
        let (_, after_name) = text.rsplit_once(')')?;
        let fields: Vec<&str> = after_name.split_ascii_whitespace().collect();
        let threads: u32 = fields.get(17)?.parse().ok()?;
        Some(Stat {
            // A first thread may be over while others go on.
            is_dead: matches!(*fields.first()?, "Z" | "X") && threads <= 1,
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            start: fields.get(19)?.parse().ok()?,
        })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        const TAIL: &str = "34 34 0 -1 4194560 1 0 0 0 0 0 0 0 20 0";

        #[test]
        fn a_name_may_hold_anything() {
            let stat = parse(&format!("41 (a) R 1 (b) S 12 {TAIL} 3 0 9876 4 5")).unwrap();
            assert_eq!((stat.parent, stat.group), (12, 34));
            assert_eq!((stat.start, stat.is_dead), (9876, false));
        }

        #[test]
        fn a_zombie_is_dead_unless_threads_of_it_go_on() {
            let is_dead = |text: String| parse(&text).unwrap().is_dead;
            assert!(is_dead(format!("41 (a) Z 12 {TAIL} 1 0 9876")));
            assert!(!is_dead(format!("41 (a) Z 12 {TAIL} 2 0 9876")));
        }

        #[test]
        fn what_ended_in_between_reads_as_nothing() {
            assert!(parse("").is_none());
            assert!(parse("41 (a) S 12").is_none());
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    //! Process groups.
    //!
    //! A program that has exited is left as a zombie until [`release`], so that its group's number is not given to a stranger.

    use super::{Exit, Program, Relative};
    use rustix::process::{
        Pid, WaitId, WaitIdOptions, WaitOptions, test_kill_process_group, waitid, waitpid,
    };
    use std::io;

    pub(super) fn mark(_: u32) -> Option<(&'static str, String)> {
        None
    }

    #[expect(clippy::unnecessary_wraps, reason = "on Linux it may fail")]
    pub(super) fn adopt() -> io::Result<()> {
        Ok(())
    }

    /// Who has ended, and whether no program is left.
    pub(super) fn reap(programs: &[Program]) -> (Vec<(i32, Exit)>, bool) {
        let running = programs.iter().filter(|program| !program.has_exited);
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let exit = |program: &Program| {
            let status = waitid(WaitId::Pid(Pid::from_raw(program.pid)?), options).ok()??;
            let exit = Exit {
                code: status.exit_status(),
                signal: status.terminating_signal(),
            };
            Some((program.pid, exit))
        };
        let exits: Vec<_> = running.clone().filter_map(exit).collect();
        let is_alone = exits.len() == running.count();
        (exits, is_alone)
    }

    pub(super) fn release(program: &Program) {
        if let Some(pid) = Pid::from_raw(program.pid).filter(|_| !program.is_released) {
            // It has exited: this does not wait, and where it failed there would be nothing to do.
            let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        }
    }

    /// A group that outlives its program, as one process: more cannot be seen.
    pub(super) fn living(programs: &[Program]) -> Vec<Relative> {
        let has_left = |program: &&Program| {
            let pid = Pid::from_raw(program.pid).filter(|_| !program.is_released);
            program.has_exited && pid.is_some_and(|pid| test_kill_process_group(pid).is_ok())
        };
        let groups = programs.iter().filter(has_left);
        groups
            .map(|program| Relative {
                pid: program.pid,
                start: 0,
                group: program.pid,
                child: Some(program.child),
            })
            .collect()
    }
}
