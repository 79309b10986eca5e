//! By MX records: sorted, without ourselves, one group of equal preference after the other.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rand::seq::SliceRandom;
use restante_types::Domain;
use tokio::task::JoinSet;

use super::{Hop, NoRoute, Search, Target, Way, later};
use crate::limits::{ADDRESSES, LOOKUPS_AT_ONCE, MX_RECORDS};
use crate::resolve::{Exchange, Found, Lookup, LookupError, Mx};
use crate::settings::SMTP_PORT;

/// Why an MX record is not tried although it is not us.
const BEHIND_US: &str = "not better than this server";
const BEHIND: &str = "not better than";
const MAY_BE_US: &str = "which may be this server";

/// What is known before the first host is resolved.
struct Listed {
    records: Vec<Mx>,
    ttl: Option<Duration>,
    secure: bool,
    /// The domain, and what it is an alias of.
    names: Vec<Domain>,
    /// There are no MX records; the domain stands in for one.
    implicit: bool,
    /// We may stand among them under a name that is not ours: an alias, or another of this machine's.
    hidden: bool,
}

impl Search<'_> {
    /// `held`: mail for the domain comes to us, so that we stand among its exchanges.
    pub(super) async fn by_mx(
        &mut self,
        lookup: &Arc<dyn Lookup>,
        domain: &Domain,
        held: bool,
    ) -> Result<Way, NoRoute> {
        let mut listed = list(lookup, domain).await?;
        // [7505-3] a single MX that names the root: this domain takes no mail
        if let [Mx { exchange: Exchange::Null, .. }] = listed.records.as_slice() {
            self.left_out.add("MX 0 .".to_owned(), "a null MX: the domain takes no mail");
            return Err(NoRoute::Misrouted(format!("{domain} says that it takes no mail (null MX)")));
        }
        let count = listed.records.len();
        // By name over the whole list, before it is cut: in a crowd of equals we must not miss ourselves.
        listed.hidden = !self.leave_out_by_name(&mut listed.records) && held;
        // [5321-5.1-order] the lowest number first, equals in random order
        listed.records.shuffle(&mut rand::rng());
        listed.records.sort_by_key(|mx| mx.preference);
        if listed.records.len() > MX_RECORDS {
            let more = format!("{} more MX records", listed.records.len() - MX_RECORDS);
            self.left_out.add(more, &format!("only the best {MX_RECORDS} are looked at"));
            listed.records.truncate(MX_RECORDS);
        }
        if listed.records.is_empty() {
            let why = format!("all {count} MX records of {domain} lead to this server");
            return Err(NoRoute::Misrouted(why));
        }
        self.resolve_groups(lookup, domain, listed).await
    }

    /// [5321-5.1-ourselves] Leaves out every record that names us, and all of the same or a higher number; false where
    /// none does.
    fn leave_out_by_name(&mut self, records: &mut Vec<Mx>) -> bool {
        let us = self.us;
        let names_us = |mx: &Mx| matches!(&mx.exchange, Exchange::Host(name) if us.is_name(name));
        let Some(own) = records.iter().filter(|mx| names_us(mx)).map(|mx| mx.preference).min() else {
            return false;
        };
        for mx in records.extract_if(.., |mx| mx.preference >= own) {
            self.left_out.add(shown(&mx), if names_us(&mx) { "this server itself" } else { BEHIND_US });
        }
        true
    }

    /// Resolves one group of equal preference after the other, best first, until enough addresses are known or one of
    /// the group is ourselves.
    async fn resolve_groups(
        &mut self,
        lookup: &Arc<dyn Lookup>,
        domain: &Domain,
        listed: Listed,
    ) -> Result<Way, NoRoute> {
        let Listed { records, mut ttl, mut secure, names, implicit, hidden } = listed;
        let mut hops: Vec<Hop> = Vec::new();
        let (mut trouble, mut met_ourselves, mut behind) = (None, false, None);
        let mut groups = records.chunk_by(|one, other| one.preference == other.preference);
        for group in groups.by_ref() {
            self.tell_unusable(group);
            let (mut found, answers) = (Vec::new(), resolve_all(lookup, group).await);
            // [5321-5.1-doubt] its equals may be tried: whoever has the mail then does not send it to an equal of its own
            behind = unknown(&answers).filter(|_| hidden).map(|name| format!("{BEHIND} {name}, {MAY_BE_US}"));
            for (name, answer) in answers {
                match answer {
                    Ok(answer) => {
                        ttl = Some(ttl.map_or(answer.ttl, |ttl| ttl.min(answer.ttl)));
                        found.push((name, answer));
                    }
                    Err(error) => {
                        self.left_out.add(name.to_string(), &error.to_string());
                        trouble = trouble.or(Some((name, error)));
                    }
                }
            }
            // [5321-5.1-ourselves] we stand in this group by address: it and all behind it are left out
            met_ourselves = self.leave_out_by_address(&found);
            if met_ourselves {
                behind = Some(BEHIND_US.to_owned());
                break;
            }
            let preference = group[0].preference;
            for (name, answer) in found {
                // Their absence is as secure as the zone whose addresses they would lead to.
                secure |= implicit && answer.secure;
                let target = Target { port: SMTP_PORT, preference, secure, references: &names };
                hops.extend(self.hops(&name, answer, &target));
            }
            if hops.len() >= ADDRESSES || behind.is_some() {
                break;
            }
        }
        let why = behind.as_deref().unwrap_or("there are enough better ones");
        groups.flatten().for_each(|mx| self.left_out.add(shown(mx), why));
        self.cut(&mut hops);
        match (hops.is_empty(), trouble, met_ourselves) {
            (false, ..) => Ok(Way { hops, ttl, secure }),
            (true, Some((name, error)), _) => Err(later(&name, &error)),
            (true, None, true) => {
                Err(NoRoute::Misrouted(format!("the best MX of {domain} leads to this server")))
            }
            (true, None, false) => Err(NoRoute::Later(format!("{domain} has no MX that names a host"))),
        }
    }

    fn tell_unusable(&mut self, group: &[Mx]) {
        for mx in group {
            match mx.exchange {
                Exchange::Host(_) => {}
                Exchange::Null => self.left_out.add(shown(mx), "a null MX means nothing beside others"),
                Exchange::Unusable => self.left_out.add(shown(mx), "it names no host"),
            }
        }
    }

    /// Whether one of a group's addresses is ours; then what was found is told as left out.
    fn leave_out_by_address(&mut self, group: &[(Domain, Found<IpAddr>)]) -> bool {
        let us = self.us;
        let is_us = |found: &Found<IpAddr>| found.records.iter().find(|ip| us.is_address(**ip)).copied();
        if group.iter().all(|(_, found)| is_us(found).is_none()) {
            return false;
        }
        for (name, found) in group {
            match is_us(found) {
                Some(ip) => self.left_out.add(format!("{name}[{ip}]"), "an address of this server"),
                None => self.left_out.add(name.to_string(), BEHIND_US),
            }
        }
        true
    }
}

async fn list(lookup: &Arc<dyn Lookup>, domain: &Domain) -> Result<Listed, NoRoute> {
    match lookup.mx(domain).await {
        Ok(Found { records, ttl, secure, name, .. }) => {
            let mut names = vec![domain.clone()];
            names.extend(Some(name).filter(|name| name != domain));
            Ok(Listed { records, ttl: Some(ttl), secure, names, implicit: false, hidden: false })
        }
        // [5321-5.1-implicit] no MX at all: the domain itself is its exchange, with preference 0
        Err(LookupError::NoRecords) => {
            let records = vec![Mx { preference: 0, exchange: Exchange::Host(domain.clone()) }];
            let names = vec![domain.clone()];
            Ok(Listed { records, ttl: None, secure: false, names, implicit: true, hidden: false })
        }
        // [5321-5.1-nxdomain] a held domain that does not exist waits: its owner hired us to hold
        // [7672-2.1.2-mx] and so does one whose MX records are bogus
        Err(error) => Err(later(domain, &error)),
    }
}

/// A host of a group whose addresses nobody knows now. One without any is not us: mail came to us.
fn unknown(answers: &[(Domain, Result<Found<IpAddr>, LookupError>)]) -> Option<&Domain> {
    let unknown = |error: &LookupError| matches!(error, LookupError::Temporary(_) | LookupError::Bogus(_));
    let mut hosts = answers.iter().filter(|(_, answer)| answer.as_ref().is_err_and(unknown));
    hosts.next().map(|(name, _)| name)
}

fn shown(mx: &Mx) -> String {
    match &mx.exchange {
        Exchange::Host(name) => format!("MX {} {name}", mx.preference),
        Exchange::Null => format!("MX {} .", mx.preference),
        Exchange::Unusable => format!("MX {} (no host name)", mx.preference),
    }
}

/// Resolves the hosts of a group, a few at a time; the answers come in the order of the group.
async fn resolve_all(
    lookup: &Arc<dyn Lookup>,
    group: &[Mx],
) -> Vec<(Domain, Result<Found<IpAddr>, LookupError>)> {
    let names: Vec<Domain> = group
        .iter()
        .filter_map(|mx| match &mx.exchange {
            Exchange::Host(name) => Some(name.clone()),
            Exchange::Null | Exchange::Unusable => None,
        })
        .collect();
    let mut answers = Vec::with_capacity(names.len());
    for some in names.chunks(LOOKUPS_AT_ONCE) {
        let mut asked = JoinSet::new();
        for (index, name) in some.iter().cloned().enumerate() {
            let lookup = lookup.clone();
            asked.spawn(async move { (index, lookup.addresses(&name).await, name) });
        }
        let mut came = asked.join_all().await;
        came.sort_by_key(|(index, ..)| *index);
        answers.extend(came.into_iter().map(|(_, answer, name)| (name, answer)));
    }
    answers
}
