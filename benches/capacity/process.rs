//! The service as a process of its own: its memory is nobody else's.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::premises::Premises;

/// Of a CPU second, in `/proc`.
const TICKS: f64 = 100.0;

/// Runs until it is dropped. With `PROGRAM` in the environment it is another build.
pub struct Process {
    child: Child,
    pub port: u16,
}

impl Process {
    /// With these values of `[limits]`.
    pub fn start(premises: &Premises, limits: &[(&str, i64)]) -> anyhow::Result<Self> {
        Self::on(0, premises, limits)
    }

    /// Kills it and starts it once more where it was, so that clients go on; how long it took until it was ready.
    pub fn again(&mut self, premises: &Premises, limits: &[(&str, i64)]) -> anyhow::Result<Duration> {
        self.child.kill()?;
        self.child.wait()?;
        let started = Instant::now();
        *self = Self::on(self.port, premises, limits)?;
        Ok(started.elapsed())
    }

    /// On this port, or on any that is free if it is 0.
    fn on(port: u16, premises: &Premises, limits: &[(&str, i64)]) -> anyhow::Result<Self> {
        let config = premises.keys.join("voorrang.toml");
        let mut table: toml::Table = fs::read_to_string(&config)?.parse()?;
        table.insert("state".into(), premises.state.display().to_string().into());
        table.insert("listen".into(), format!("127.0.0.1:{port}").into());
        let section = table.get_mut("limits").and_then(toml::Value::as_table_mut).context("the shipped defaults")?;
        limits.iter().for_each(|(key, value)| drop(section.insert((*key).into(), (*value).into())));
        fs::write(&config, table.to_string())?;
        let log = premises.keys.join("log");
        let program = std::env::var_os("PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_voorrang").into());
        let mut command = Command::new(program);
        command.arg("serve").arg("--config").arg(&config).stdin(Stdio::null()).stdout(Stdio::null());
        command.envs(allocator());
        let mut child = command.stderr(fs::File::create(&log)?).spawn()?;
        let until = Instant::now() + Duration::from_secs(120);
        while Instant::now() < until && child.try_wait()?.is_none() {
            let ports = [" address=", "internal="].map(|place| port_in(&log, place));
            if let [Some(port), Some(internal)] = ports
                && is_ready(internal)
            {
                return Ok(Self { child, port });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        child.kill()?;
        bail!("the service does not start: {}", fs::read_to_string(&log)?);
    }

    /// Of all its threads so far.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let ticks = stat.split_whitespace().skip(13).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
        Ok(ticks / TICKS)
    }

    /// From here on `VmHWM` is the most since now.
    pub fn forget_most(&self) -> anyhow::Result<()> {
        // 5: the peak of the resident set (proc(5)).
        Ok(fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5")?)
    }

    /// Memory in use, or with `VmHWM` the most that ever was, in megabytes.
    pub fn megabytes(&self, key: &str) -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(key)).context("no such line")?;
        let kibibytes = line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<f64>()?;
        Ok(kibibytes * 1024.0 / 1e6)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// How the unit of systemd has memory handled.
fn allocator() -> impl Iterator<Item = (&'static str, &'static str)> {
    let unit = include_str!("../../packaging/systemd/voorrang.service");
    let settings = unit.lines().filter_map(|line| line.strip_prefix("Environment=")?.split_once('='));
    settings.filter(|(name, _)| name.starts_with("MIMALLOC_"))
}

/// A port that it says it has taken.
fn port_in(log: &Path, place: &str) -> Option<u16> {
    let text = fs::read_to_string(log).ok()?;
    let (_, rest) = text.lines().find_map(|line| line.split_once(&format!("{place}127.0.0.1:")))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Whether `/readyz` says so.
fn is_ready(internal: u16) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", internal))?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut said = String::new();
        stream.read_to_string(&mut said).map(|_| said)
    };
    ask().is_ok_and(|said| said.starts_with("HTTP/1.1 200 "))
}
