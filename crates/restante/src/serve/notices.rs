//! What delivery is told about notices: how they read, and how they leave.

use std::path::Path;
use std::time::Duration;

use restante_delivery::{
    Circuit, DomainDelivery, Mode, NextHop, NoticeSettings, Notices, Template, TemplateKind, Templates,
    TlsPolicy,
};
use restante_types::{Domain, NOTICES};

use super::events;
use crate::config::Config;

/// How long a notice is tried: RFC 5321 4.5.4.1 wants four to five days at least.
const RETENTION: Duration = Duration::from_secs(5 * 24 * 3600);

/// How they read.
pub(super) fn settings(config: &Config) -> NoticeSettings {
    let texts = &config.notices;
    NoticeSettings {
        from_name: texts.from_name.clone(),
        templates: Templates {
            failed: template(texts.failed.as_deref(), TemplateKind::Failed),
            delayed: template(texts.delayed.as_deref(), TemplateKind::Delayed),
            relayed: template(texts.relayed.as_deref(), TemplateKind::Relayed),
        },
    }
}

/// The check read these files a moment ago; one that has gone since must not keep a notice from being written.
fn template(file: Option<&Path>, kind: TemplateKind) -> Template {
    let Some(file) = file else { return Template::built_in(kind) };
    let read = std::fs::read_to_string(file).map_err(|error| error.to_string());
    let read = read
        .and_then(|text| text.parse().map_err(|error: restante_delivery::TemplateError| error.to_string()));
    read.unwrap_or_else(|error| {
        events::template_unusable(file, &error);
        Template::built_in(kind)
    })
}

/// How they leave: by the MX records of where they go, one connection each, and nobody is told where they fail.
pub(super) fn queue() -> (Domain, DomainDelivery) {
    let name = NOTICES.parse().expect("the name of the queues of notices is a name");
    let delivery = DomainDelivery {
        mode: Mode::Push,
        primary: NextHop::Mx,
        tls: TlsPolicy::Opportunistic,
        retention: RETENTION,
        connections: 1,
        delay_notice: None,
        notices: Notices::None,
        canary: false,
        circuit: Circuit { first: None, steady: None },
        ..DomainDelivery::default()
    };
    (name, delivery)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_queue_of_notices_is_found_by_the_one_rule() {
        let (name, delivery) = queue();
        let mut map = restante_types::DomainMap::default();
        map.insert(name, true, delivery);
        let queue = Domain::parse("example.net").unwrap().notice_queue().unwrap();
        let (_, found) = map.find(&queue).unwrap();
        assert_eq!((found.mode, found.retention), (Mode::Push, RETENTION));
    }

    #[test]
    fn a_text_that_has_gone_is_replaced_by_ours() {
        let file = Path::new("/nonexistent/failed.txt");
        assert_eq!(template(Some(file), TemplateKind::Failed), Template::built_in(TemplateKind::Failed));
    }
}
