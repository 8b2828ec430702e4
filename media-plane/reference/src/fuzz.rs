//! Body of the fuzz target: any bytes are a world, in which the forwarder does what the model does.

use crate::run::Run;

/// Plays the camera, the channel and the subscriber that the bytes tell of.
pub fn forwarder_model(data: &[u8]) {
    let played = Run::scripted(data).play(FRAMES_MAX);
    assert!(played.copies <= played.packets);
}

/// As long as any script takes that a fuzzer comes by.
const FRAMES_MAX: u32 = 2_000;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    #[cfg(not(miri))]
    #[test]
    fn corpus_is_played_as_the_model_does() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus/forwarder_model");
        let seeds: Vec<_> = std::fs::read_dir(corpus).unwrap().map(Result::unwrap).collect();
        assert!(!seeds.is_empty());
        for seed in seeds {
            let data = std::fs::read(seed.path()).unwrap();
            forwarder_model(&data);
            (0..data.len()).step_by(97).for_each(|len| forwarder_model(&data[..len]));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 256 }))]

        #[test]
        fn any_bytes_are_played_as_the_model_does(data in proptest::collection::vec(any::<u8>(), 0..3_000)) {
            forwarder_model(&data);
        }
    }
}
