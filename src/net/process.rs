//! Provisional.
pub(super) use super::supervisor::messages::{Order, Report, Signal, Stream};
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::{
    io,
    path::Path,
    task::{Context, Poll},
};
use tokio::sync::mpsc;
pub struct Supervisor {
    tx: mpsc::UnboundedSender<Option<Report>>,
    rx: mpsc::UnboundedReceiver<Option<Report>>,
    pids: std::collections::BTreeMap<u32, u32>,
}
impl Supervisor {
    pub(super) fn start(_: &Path) -> io::Result<Self> {
        let (tx, rx) = mpsc::unbounded_channel();
        Ok(Self {
            tx,
            rx,
            pids: Default::default(),
        })
    }
    fn kill(&self, child: u32, sig: &str) {
        if let Some(pid) = self.pids.get(&child) {
            let _ = Command::new("kill").args([sig, &pid.to_string()]).status();
        }
    }
    pub(super) fn order(&mut self, o: Order) {
        match o {
            Order::Start {
                child,
                program,
                args,
                dir,
                env,
                ..
            } => {
                let mut c = Command::new(program);
                c.args(args)
                    .envs(env)
                    .stdin(Stdio::null())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped());
                if let Some(d) = dir {
                    c.current_dir(d);
                }
                let mut p = c.spawn().unwrap();
                self.pids.insert(child, p.id());
                let (out, err) = (p.stdout.take().unwrap(), p.stderr.take().unwrap());
                let t = self.tx.clone();
                let a = std::thread::spawn(move || {
                    for line in BufReader::new(out).lines().map_while(Result::ok) {
                        let _ = t.send(Some(Report::Output {
                            child,
                            stream: Stream::Stdout,
                            line,
                        }));
                    }
                });
                let t = self.tx.clone();
                let b = std::thread::spawn(move || {
                    for line in BufReader::new(err).lines().map_while(Result::ok) {
                        let _ = t.send(Some(Report::Output {
                            child,
                            stream: Stream::Stderr,
                            line,
                        }));
                    }
                });
                let t = self.tx.clone();
                std::thread::spawn(move || {
                    let s = p.wait().unwrap();
                    let _ = a.join();
                    let _ = b.join();
                    use std::os::unix::process::ExitStatusExt;
                    let _ = t.send(Some(Report::Exited {
                        child,
                        code: s.code(),
                        signal: s.signal(),
                    }));
                });
            }
            Order::Signal { child, signal } => self.kill(
                child,
                match signal {
                    Signal::Freeze => "-STOP",
                    Signal::Thaw => "-CONT",
                    Signal::Term => "-TERM",
                    Signal::Kill => "-KILL",
                },
            ),
            Order::EndChild { child, .. } => self.kill(child, "-TERM"),
            Order::End { .. } => {
                for c in self.pids.keys() {
                    self.kill(*c, "-TERM");
                }
                let t = self.tx.clone();
                std::thread::spawn(move || {
                    std::thread::sleep(std::time::Duration::from_secs(2));
                    let _ = t.send(None);
                });
            }
        }
    }
    pub(super) fn poll_report(&mut self, cx: &mut Context<'_>) -> Poll<Option<Report>> {
        self.rx.poll_recv(cx).map(Option::flatten)
    }
}
