//! Weights as operators give them: to a backend by its id, or to all backends of a group or type together.
//!
//! A group is a share of the traffic, however many backends it has: so its weight is divided among them, in the ratio of
//! the weights that they have. In thousandths, all of which are given: what division leaves over goes to those who lost
//! most by rounding (the method of largest remainders).

use super::change::Refused;
use super::document::is_in;
use crate::config::Config;
use crate::domain::{Backend, Weight};

/// The weight of each backend that is concerned.
pub(super) fn of_each(effect: &Config, given: &[(Box<str>, Weight)]) -> Result<Vec<(Box<str>, Weight)>, Refused> {
    let mut weights: Vec<(Box<str>, Weight)> = Vec::new();
    let mut unknown = Vec::new();
    for (name, weight) in given {
        let members: Vec<&Backend> = effect.backends.iter().filter(|backend| backend.is_of(name)).collect();
        // Of a backend and a group of one name, the backend is meant.
        if is_in(effect, name) {
            weights.push((name.clone(), *weight));
        } else if members.is_empty() {
            unknown.push(name.clone());
        } else if (weight.thousandths() as usize) < members.len() {
            let (weight, backends) = (weight.ratio(), members.len());
            return Err(Refused::Invalid(format!(
                "{name}: {weight} is less than 0.001 for each of {backends} backends"
            )));
        } else {
            weights.extend(divided(&members, *weight));
        }
    }
    if !unknown.is_empty() {
        return Err(Refused::UnknownIds(unknown));
    }
    let mut rest = weights.iter().map(|(id, _)| id);
    while let Some(id) = rest.next() {
        if rest.clone().any(|other| other == id) {
            return Err(Refused::Invalid(format!("{id}: more than one of these is about it")));
        }
    }
    Ok(weights)
}

/// A weight, divided among backends of which there are no more than it has thousandths.
fn divided(members: &[&Backend], weight: Weight) -> Vec<(Box<str>, Weight)> {
    // Each has one for sure: no weight is 0.
    let rest = u64::from(weight.thousandths()) - members.len() as u64;
    let sum: u64 = members.iter().map(|backend| u64::from(backend.weight.thousandths())).sum();
    let part = |backend: &Backend| rest * u64::from(backend.weight.thousandths());
    let left = rest - members.iter().map(|backend| part(backend) / sum).sum::<u64>();
    let remainder = |(place, backend): (usize, &Backend)| (part(backend) % sum, usize::MAX - place);
    let each = members.iter().enumerate().map(|(place, backend)| {
        let own = remainder((place, backend));
        let before = members.iter().enumerate().filter(|&(place, other)| remainder((place, other)) > own).count();
        let more = u64::from((before as u64) < left);
        (backend.id.clone(), Weight::from_thousandths((1 + part(backend) / sum + more) as u32))
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::BackendType;
    use crate::routing::testing::backend;

    fn weighed(thousandths: &[u32]) -> Vec<Backend> {
        let weighed = |(n, &weight): (usize, &u32)| Backend {
            weight: Weight::from_thousandths(weight),
            ..backend(&format!("b{n:03}"))
        };
        thousandths.iter().enumerate().map(weighed).collect()
    }

    fn parts(backends: &[Backend], thousandths: u32) -> Vec<u32> {
        let members: Vec<_> = backends.iter().collect();
        let parts = divided(&members, Weight::from_thousandths(thousandths));
        parts.into_iter().map(|(_, weight)| weight.thousandths()).collect()
    }

    #[test]
    fn a_group_s_weight_is_divided_in_the_ratio_of_its_backends() {
        assert_eq!(parts(&weighed(&[1_000]), 700), [700]);
        assert_eq!(parts(&weighed(&[1_000, 1_000]), 700), [350, 350]);
        assert_eq!(parts(&weighed(&[1_000, 1_000, 1_000]), 700), [234, 233, 233]);
        assert_eq!(parts(&weighed(&[3_000, 1_000]), 802), [601, 201]);
        assert_eq!(parts(&weighed(&[1, 1_000_000]), 2), [1, 1]);
    }

    #[test]
    fn names_are_ids_first_and_groups_and_types_after_that() {
        let mut config = crate::config::parse(
            br#"{"backend_instances": {"a": {"group": "g"}, "b": {"group": "g", "backend_type": "lightrag"},
                "c": {"backend_type": "lightrag"}, "perplexity": {}, "d": {"backend_type": "perplexity"}}}"#,
        )
        .expect("a configuration");
        let given = |names: &[(&str, u32)]| -> Vec<(Box<str>, Weight)> {
            names.iter().map(|&(name, weight)| (name.into(), Weight::from_thousandths(weight))).collect()
        };
        let each = |names: &[(&str, u32)]| of_each(&config, &given(names));
        assert_eq!(each(&[("g", 600), ("c", 5)]), Ok(given(&[("a", 300), ("b", 300), ("c", 5)])));
        assert_eq!(
            each(&[("lightrag", 600), ("perplexity", 5)]),
            Ok(given(&[("b", 300), ("c", 300), ("perplexity", 5)]))
        );
        assert_eq!(
            each(&[("gemini", 1), ("g", 1), ("x", 1)]),
            Err(Refused::Invalid("g: 0.001 is less than 0.001 for each of 2 backends".into()))
        );
        assert_eq!(each(&[("gemini", 1), ("x", 1)]), Err(Refused::UnknownIds(vec!["gemini".into(), "x".into()])));
        let twice = |id: &str| Err(Refused::Invalid(format!("{id}: more than one of these is about it")));
        assert_eq!(each(&[("g", 600), ("a", 5)]), twice("a"));
        assert_eq!(each(&[("g", 600), ("lightrag", 5)]), twice("b"));
        config.backends.iter_mut().for_each(|backend| backend.kind = BackendType::Gemini);
        assert_eq!(of_each(&config, &given(&[("gemini", 5_000)])).map(|all| all.len()), Ok(5));
    }

    proptest! {
        #[test]
        fn nothing_of_a_weight_is_lost_by_dividing_it(
            weights in prop::collection::vec(1..1_000_000_u32, 1..60), thousandths in 60..1_000_000_u32
        ) {
            let first = parts(&weighed(&weights), thousandths);
            prop_assert_eq!(first.iter().sum::<u32>(), thousandths);
            prop_assert!(first.iter().all(|&part| part > 0));
            let sum = weights.iter().map(|&weight| f64::from(weight)).sum::<f64>();
            for (part, weight) in first.iter().zip(&weights) {
                let exact = f64::from(thousandths) * f64::from(*weight) / sum;
                // One thousandth for sure each, and less than one by rounding.
                prop_assert!((f64::from(*part) - exact).abs() <= 2.0 + weights.len() as f64 * f64::from(*weight) / sum);
            }
        }
    }
}
