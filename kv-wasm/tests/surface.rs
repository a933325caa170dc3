//! The surface that JavaScript sees, in a browser: plain objects in, plain objects and frames out,
//! refusals as errors in words.

#![cfg(target_arch = "wasm32")]

use kv_wasm::Sim;
use kv_wasm::action::{Act, Clients, LinkSettings, Network, RunConfig, SettingValue};
use kv_wasm::frame;
use kv_wasm::search::{Attack, Search};
use tsify::{Ts, Tsify};
use wasm_bindgen::JsValue;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

fn config(seed: &str) -> Ts<RunConfig> {
    RunConfig {
        seed: seed.into(),
        nodes: 3,
        partitions: 16,
        shards: 1,
        network: Network {
            latency_min_us: 1_000,
            latency_max_us: 9_000,
            loss_per_mille: 20,
            stragglers_per_mille: 10,
            straggle: 5,
            duplication_per_mille: 10,
            reordering_per_mille: 10,
        },
        sync_us: 1_000,
        settings: vec![SettingValue { name: "gossip_interval_ms".into(), value: 100 }],
        workload: Clients {
            clients: 6,
            per_second: 50,
            keys: 5,
            writes_per_mille: 500,
            quorum: 0,
            strong_per_mille: 100,
        },
    }
    .into_ts()
    .unwrap()
}

fn sim(seed: &str) -> Sim {
    Sim::new(config(seed)).unwrap_or_else(|error| panic!("{}", words(error)))
}

fn act(sim: &mut Sim, act: Act) -> Result<(), String> {
    sim.act(act.into_ts().unwrap()).map_err(words)
}

fn advance(sim: &mut Sim, until_us: f64) -> bool {
    sim.advance(until_us, u32::MAX).unwrap_or_else(|error| panic!("{}", words(error)))
}

fn words(error: wasm_bindgen::JsError) -> String {
    let words = format!("{:?}", JsValue::from(error));
    assert!(words.contains("Error: "), "a refusal is an Error with words: {words}");
    words
}

#[wasm_bindgen_test]
fn a_run_is_broken_shared_and_opened_with_the_same_hash() {
    let mut first = sim("abc");
    assert!(advance(&mut first, 1_500_000.0));
    act(&mut first, Act::Crash { node: 1 }).unwrap();
    act(&mut first, Act::Pause { node: 2 }).unwrap();
    act(&mut first, Act::Jump { node: 0, by_ms: -5_000 }).unwrap();
    act(&mut first, Act::Put { node: 0, key: "ours".into(), value: "kept".into() }).unwrap();
    assert!(advance(&mut first, 3_000_000.0));
    let second = first.link().and_then(|link| Sim::from_link(&link));
    let second = second.unwrap_or_else(|error| panic!("{}", words(error)));
    assert_eq!(second.hash(), first.hash());
    assert_eq!(second.now(), 3_000_000.0);
}

#[wasm_bindgen_test]
fn what_a_node_runs_on_tells_what_was_done_to_it_also_while_it_is_down() {
    let mut sim = sim("1");
    act(&mut sim, Act::Drift { node: 1, ppm: -20_000 }).unwrap();
    act(&mut sim, Act::Jump { node: 1, by_ms: -5_000 }).unwrap();
    act(&mut sim, Act::Slow { node: 1, wait_us: 70_000 }).unwrap();
    act(&mut sim, Act::Fill { node: 1, free: 0 }).unwrap();
    act(&mut sim, Act::Crash { node: 1 }).unwrap();
    let machine = |node| {
        let object = sim.machine(node).unwrap_or_else(|error| panic!("{}", words(error)));
        object.map(|object| String::from(js_sys::JSON::stringify(&object.js_value()).unwrap()))
    };
    let broken = "{\"drift_ppm\":-20000,\"ahead_ms\":-5000,\"sync_us\":70000,\"limited\":true,";
    assert!(machine(1).unwrap().contains(broken), "{:?}", machine(1));
    let sound = "{\"drift_ppm\":0,\"ahead_ms\":0,\"sync_us\":1000,\"limited\":false,";
    assert!(machine(0).unwrap().contains(sound), "{:?}", machine(0));
    assert_eq!(machine(9), None);
}

#[wasm_bindgen_test]
fn a_bit_of_a_file_that_is_listed_turns_over() {
    let mut sim = sim("1");
    assert!(advance(&mut sim, 1_000_000.0));
    let object = sim.machine(0).unwrap_or_else(|error| panic!("{}", words(error))).unwrap();
    let files = js_sys::Reflect::get(&object.js_value(), &"files".into()).unwrap();
    let files = js_sys::Array::from(&files);
    assert!(files.length() > 0, "there is a log at least");
    for file in files {
        let number = |name: &str| {
            js_sys::Reflect::get(&file, &name.into()).unwrap().as_f64().unwrap() as u64
        };
        let (file, bytes) = (number("file"), number("bytes"));
        act(&mut sim, Act::Flip { node: 0, file, offset: bytes - 1, bit: 7 }).unwrap();
        let beyond = Act::Flip { node: 0, file, offset: 1 << 40, bit: 0 };
        assert!(act(&mut sim, beyond).is_err(), "no file is so long");
    }
}

#[wasm_bindgen_test]
fn one_direction_of_a_link_has_settings_of_its_own_until_it_has_not() {
    let mut sim = sim("1");
    let own = LinkSettings { latency_min_us: 1, latency_max_us: 70_000, loss_per_mille: 250 };
    act(&mut sim, Act::Link { from: 0, to: 2, own }).unwrap();
    let told = |sim: &Sim, from, to| {
        let own = sim.link_settings(from, to).unwrap_or_else(|error| panic!("{}", words(error)));
        own.map(|own| String::from(js_sys::JSON::stringify(&own.js_value()).unwrap()))
    };
    let words = "{\"latency_min_us\":1,\"latency_max_us\":70000,\"loss_per_mille\":250}";
    assert_eq!(told(&sim, 0, 2).as_deref(), Some(words));
    assert_eq!(told(&sim, 2, 0), None);
    act(&mut sim, Act::Unlink { from: 0, to: 2 }).unwrap();
    assert_eq!(told(&sim, 0, 2), None);
}

#[wasm_bindgen_test]
fn what_a_search_has_found_is_a_script_of_the_suite() {
    let weak = |name: &str| SettingValue { name: name.into(), value: 1 };
    let attack = Attack {
        nodes: 3,
        settings: vec![weak("read_quorum"), weak("write_quorum")],
        demands: vec!["latest".into()],
        strikes: 20,
    };
    let mut search = Search::new(attack.into_ts().unwrap()).unwrap_or_else(|_| panic!());
    assert_eq!(search.script(), None);
    let script = (1..50).find_map(|seed| {
        search.attack(seed).unwrap_or_else(|error| panic!("{}", words(error)));
        search.script()
    });
    let script = script.unwrap();
    assert!(script.contains("\nbegin nodes="), "{script}");
    assert!(script.contains("\nanswers\njudge\n---\n"), "{script}");
}

#[wasm_bindgen_test]
fn a_frame_has_its_version_and_its_nodes_in_front() {
    let mut sim = sim("1");
    for millis in (2..=4_000).step_by(2) {
        assert!(advance(&mut sim, f64::from(millis) * 1_000.0));
        let bytes = sim.frame();
        assert_eq!(bytes[..4], frame::VERSION.to_le_bytes());
        assert_eq!(bytes[4..8], 3_u32.to_le_bytes());
    }
    assert!(sim.kinds().iter().any(|kind| kind == "heartbeats"), "{:?}", sim.kinds());
}

#[wasm_bindgen_test]
fn what_cannot_be_is_refused_in_words_and_changes_nothing() {
    let mut sim = sim("1");
    let before = sim.hash();
    assert!(act(&mut sim, Act::Restart { node: 0 }).is_err(), "it runs already");
    assert!(act(&mut sim, Act::Crash { node: 99 }).is_err(), "there is no such node");
    assert_eq!(sim.hash(), before);
    let change = SettingValue { name: "read_quorum".into(), value: 5 }.into_ts().unwrap();
    let refused =
        sim.settings_refused(0, vec![change]).unwrap_or_else(|error| panic!("{}", words(error)));
    assert!(refused.is_some_and(|words| words.contains("cannot exceed replicas")));
    assert!(Sim::from_link("hello").map_err(words).is_err());
    assert!(Sim::new(config("not a seed")).map_err(words).is_err());
}
