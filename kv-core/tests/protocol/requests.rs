//! Requests and what must not pile up behind them.

use kv_core::error::RequestError;
use kv_core::request::Basis;

use crate::net::{Net, get, is_written, put, put_with};

#[test]
fn reads_do_not_wait_for_a_replica_that_is_down() {
    let mut net = Net::cluster(3);
    assert!(is_written(Some(&net.ask(0, put("k", "v")))));
    net.crash(2);
    for _ in 0..10_100 {
        let read = net.request(0, get("k"));
        assert!(matches!(net.answer(0, read), Some(Ok(_))), "{:?}", net.answer(0, read));
    }
}

#[test]
fn values_beside_each_other_stay_small_enough_to_travel_together() {
    let mut net = Net::cluster(1);
    let large = || put_with("k", vec![7; 6 << 20], Basis::Nothing);
    assert!(is_written(Some(&net.ask(0, large()))));
    assert!(is_written(Some(&net.ask(0, large()))));
    let third = net.ask(0, large());
    assert!(matches!(third, Err(RequestError::Conflict(_))), "{:?}", third.map(drop));
    assert!(is_written(Some(&net.ask(0, put_with("k", vec![7; 8 << 20], Basis::ReadFirst)))));
}
