use super::*;
use crate::scenarios::catalogue;

#[test]
fn the_catalogue_loads_on_both_clocks() {
    for clock in [Clock::Virtual, Clock::Real] {
        let all = load(catalogue::TEXT, catalogue::FILE, clock).unwrap_or_else(|p| panic!("{p}"));
        assert!(all.len() > 60, "{}", all.len());
    }
}
