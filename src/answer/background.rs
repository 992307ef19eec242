//! What runs beside the answers: forwarding processing records, recording refused connections, backups and epochs that
//! fell silent, reading certificates anew, answering batches of questions, deleting what has expired.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread::JoinHandle;
use std::time::Duration;

use super::spans::Sender;
use super::tls::Reloader;
use super::{App, ldv, question_batches, retention};
use crate::config::Config;

/// Between two rounds of deleting what has expired, the first of which is at the start, and of reading the log back.
const ROUND: Duration = Duration::from_secs(3600);

/// Between two looks at refused connections, at backups, and at epochs whose grace may have ended.
const KNOCKS: Duration = Duration::from_secs(1);

/// The threads of a running service. Dropping it ends them and waits.
pub(super) struct Background {
    /// Closed, it tells every thread to end.
    running: Vec<SyncSender<()>>,
    threads: Vec<JoinHandle<()>>,
}

impl Background {
    pub(super) fn start(app: &Arc<App>, config: &Config, reloader: &Arc<Reloader>, sender: Option<Sender>) -> Self {
        let mut all = Self { running: Vec::new(), threads: Vec::new() };
        if let Some(sender) = sender {
            all.spawn(app, move |_, ending| sender.run(ending));
        }
        if let Some(forwarder) = ldv::Forwarder::new(&config.ldv) {
            all.spawn(app, move |app, ending| forwarder.run(app, ending));
        }
        all.spawn(app, |app, ending| {
            retention::tidy(app);
            while !is_over(ending, ROUND) {
                retention::look(app);
                retention::tidy(app);
            }
        });
        all.spawn(app, |app, ending| {
            let mut silent = HashSet::new();
            while !is_over(ending, KNOCKS) {
                app.record_knocks(&app.knocks, false);
                app.record_backups();
                app.record_silences(&mut silent);
            }
            app.record_knocks(&app.knocks, true);
        });
        all.spawn(app, question_batches::answer);
        let reloader = Arc::clone(reloader);
        all.spawn(app, move |_, ending| {
            let mut waited = Duration::ZERO;
            // In steps, because a shorter period counts from when it is read, as on a signal.
            while !is_over(ending, KNOCKS) {
                waited += KNOCKS;
                if waited >= reloader.period() {
                    reloader.reload();
                    waited = Duration::ZERO;
                }
            }
        });
        all
    }

    fn spawn(&mut self, app: &Arc<App>, work: impl FnOnce(&App, &Receiver<()>) + Send + 'static) {
        let (running, ending) = mpsc::sync_channel(0);
        let app = Arc::clone(app);
        self.running.push(running);
        self.threads.push(std::thread::spawn(move || work(&app, &ending)));
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.running.clear();
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so; what it did is done again at the next start.
            drop(thread.join());
        }
    }
}

/// Waits; whether the service ends.
pub(super) fn is_over(ending: &Receiver<()>, wait: Duration) -> bool {
    ending.recv_timeout(wait) != Err(RecvTimeoutError::Timeout)
}
