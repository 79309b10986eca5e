//! The effective configuration as TOML.

use super::fields::Setting;
use super::sections::GroupKeys;
use super::values::quoted;
use super::{Config, Rules};

/// Every key with the value that is in force, `domains.d` and `[domain-defaults]` worked in. Holds no secret: there
/// is none in the configuration, only the names of files that hold some.
pub(crate) fn render(config: &Config) -> String {
    let mut out = Out::default();
    let mut top = config.top.clone();
    top.hostname = Some(config.hostname.clone());
    out.lines(top.write());
    for listen in &config.listen {
        out.section("[[listen]]", listen.value.write());
    }
    if let Some(tls) = &config.tls {
        out.section("[tls]", tls.value.write());
    }
    out.section("[admin]", config.admin.write());
    out.section("[dns]", config.dns.write());
    out.section("[notices]", config.notices.write());
    out.section("[events]", config.events.write());
    out.section("[limits]", config.limits.write());
    out.section("[domain-defaults]", config.defaults.write());
    for domain in &config.domains {
        out.section("[[domain]]", vec![("name", quoted(domain.value.name.as_str()))]);
        out.lines(differing(&domain.value.rules, &config.defaults));
    }
    for group in &config.groups {
        let keys = GroupKeys { name: Some(group.value.name.clone()), domains: group.value.domains.clone() };
        out.section("[[group]]", keys.write());
    }
    out.text
}

/// What a domain has otherwise than the defaults; the whole list a thousand times would hide it.
fn differing(rules: &Rules, defaults: &Rules) -> Vec<(&'static str, String)> {
    let usual = defaults.write();
    rules.write().into_iter().filter(|line| !usual.contains(line)).collect()
}

#[derive(Default)]
struct Out {
    text: String,
}

impl Out {
    fn section(&mut self, header: &str, lines: Vec<(&'static str, String)>) {
        self.text.push('\n');
        self.text.push_str(header);
        self.text.push('\n');
        self.lines(lines);
    }

    fn lines(&mut self, lines: Vec<(&'static str, String)>) {
        for (key, value) in lines {
            self.text.push_str(&format!("{key} = {value}\n"));
        }
    }
}

/// A value as the configuration writes it.
pub(crate) fn written<T: Setting>(value: &T) -> String {
    value.write().map(|text| text.trim_matches('"').to_owned()).unwrap_or_default()
}
