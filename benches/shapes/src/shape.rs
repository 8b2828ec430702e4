//! The shapes of load: how many rooms, who publishes what, and who only listens.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    Video,
    Audio,
    None,
}

impl Media {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Audio => "audio",
            Self::None => "none",
        }
    }
}

/// What the load generator is asked for, each figure per room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    pub name: String,
    pub rooms: u32,
    pub publishers: u32,
    pub subscribers: u32,
    /// Publishers get the media of the other publishers, too.
    pub publishers_subscribe: bool,
    pub media: Media,
}

impl Shape {
    fn new(name: &str, rooms: u32, publishers: u32, subscribers: u32, media: Media) -> Self {
        Self { name: name.to_owned(), rooms, publishers, subscribers, publishers_subscribe: false, media }
    }

    /// Everyone publishes, and gets what the others publish.
    fn meeting(name: &str, rooms: u32, participants: u32) -> Self {
        Self { publishers_subscribe: true, ..Self::new(name, rooms, participants, 0, Media::Video) }
    }

    /// `rooms` rooms of two cameras and fifty subscribers, of which a load that can be raised is made.
    #[must_use]
    pub fn halls(name: &str, rooms: u32) -> Self {
        Self::new(name, rooms, 2, 50, Media::Video)
    }

    /// One camera to so many.
    #[must_use]
    pub fn fan_out(subscribers: u32) -> Self {
        Self::new(&format!("1-{subscribers}"), 1, 1, subscribers, Media::Video)
    }

    #[must_use]
    pub fn participants(&self) -> u32 {
        self.rooms * (self.publishers + self.subscribers)
    }

    /// Participants that something is forwarded to.
    #[must_use]
    pub fn receivers(&self) -> u32 {
        match (self.media, self.publishers_subscribe) {
            (Media::None, _) => 0,
            (_, true) => self.participants(),
            (_, false) => self.rooms * self.subscribers,
        }
    }
}

/// Measured with every server, in turn.
#[must_use]
pub fn compared() -> Vec<Shape> {
    let mut shapes: Vec<Shape> = [10, 50, 100, 200].into_iter().map(Shape::fan_out).collect();
    shapes.push(Shape::meeting("10x10", 1, 10));
    shapes.push(Shape::new("5-100-audio", 1, 5, 100, Media::Audio));
    shapes.push(Shape::meeting("20x1-1", 20, 2));
    shapes
}

/// Measured once with the first server.
#[must_use]
pub fn single() -> Vec<Shape> {
    vec![
        Shape::fan_out(500),
        Shape::new("idle-100", 1, 0, 100, Media::None),
        Shape::new("idle-200", 1, 0, 200, Media::None),
    ]
}

/// The name of the ramp, which is made of [`Shape::halls`].
pub const RAMP: &str = "ramp";

/// Every name that `--shape` takes.
#[must_use]
pub fn names() -> Vec<String> {
    let shapes = compared().into_iter().chain(single());
    shapes.map(|shape| shape.name).chain([RAMP.to_owned()]).collect()
}

#[must_use]
pub fn named(name: &str) -> Option<Shape> {
    compared().into_iter().chain(single()).find(|shape| shape.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receivers_are_whoever_media_goes_to() {
        for (name, participants, receivers) in [
            ("1-50", 51, 50),
            ("10x10", 10, 10),
            ("5-100-audio", 105, 100),
            ("20x1-1", 40, 40),
            ("idle-200", 200, 0),
        ] {
            let shape = named(name).expect(name);
            assert_eq!((shape.participants(), shape.receivers()), (participants, receivers), "{name}");
        }
        assert_eq!(Shape::halls("half", 3).receivers(), 150);
    }

    #[test]
    fn every_name_but_the_ramp_is_one_shape() {
        let names = names();
        for name in &names {
            assert_eq!(named(name).is_some(), name != RAMP, "{name}");
            assert_eq!(names.iter().filter(|other| *other == name).count(), 1, "{name}");
        }
    }
}
