//! D21: the resume URL for ever. Once READY has named one, every connection goes there: whether it can be reached or not,
//! and whether a session is to be resumed or begun.

use super::wrapper::{Host, Perturb, payload};
use crate::machine::{Input, Output};
use crate::time::Instant;
use serde::Deserialize;
use url::Url;

/// Connects to the resume URL only, from the first READY on.
#[derive(Debug, Default)]
pub(super) struct ForEver {
    resume_url: Option<Url>,
}

impl ForEver {
    /// The resume URL with the query of the one that was meant.
    fn instead(&self, url: &str) -> Option<String> {
        let mut instead = self.resume_url.clone()?;
        instead.set_query(Url::parse(url).ok()?.query());
        Some(instead.into())
    }
}

impl Perturb for ForEver {
    fn input(&mut self, now: Instant, input: Input<'_>, host: &mut Host) {
        #[derive(Deserialize)]
        struct Ready {
            resume_gateway_url: String,
        }
        if let Input::Received { message, .. } = &input
            && let Some(frame) = payload(message)
            && frame.t.as_deref() == Some("READY")
            && let Ok(ready) = frame.payload::<Ready>()
        {
            self.resume_url = Url::parse(&ready.resume_gateway_url).ok();
        }
        host.tell(now, input);
    }

    fn output(&mut self, _: Instant, output: Output, host: &mut Host) {
        host.ask(match output {
            Output::Open { connection, url } => Output::Open {
                url: self.instead(&url).unwrap_or(url),
                connection,
            },
            output => output,
        });
    }
}
