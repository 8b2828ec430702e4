//! ffmpeg as a program: it encodes the film with libvpx, and decodes what a subscriber shows.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::film::{KEY_FRAME_INTERVAL, LENGTH, PATTERN, ivf};

pub const SIZE: (u16, u16) = (320, 240);

/// Why there is no film, in words.
pub type Result<T> = std::result::Result<T, String>;

/// The film's frames, in an encoding whose key frames lie at this phase.
pub fn encode(phase: usize) -> Result<Vec<Vec<u8>>> {
    let key_frames = format!("expr:eq(mod(n,{KEY_FRAME_INTERVAL}),{})", phase * PATTERN.len());
    let source = format!("testsrc2=size={}x{}:rate=30,trim=end_frame={LENGTH}", SIZE.0, SIZE.1);
    let arguments = [&["-f", "lavfi", "-i", &source, "-force_key_frames", &key_frames], ENCODER].concat();
    ivf::read(&run(&arguments, &[])?).ok_or_else(|| String::from("what ffmpeg encoded is no IVF"))
}

/// What a decoder shows for these pictures, as digests; the slightest error is an error.
pub fn digests(pictures: &[impl AsRef<[u8]>]) -> Result<Vec<String>> {
    let output = run(DECODER, &ivf::write(pictures, SIZE))?;
    let text = String::from_utf8_lossy(&output);
    // "0, 7, 7, 1, 115200, md5" for each, after comments.
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    Ok(lines.filter_map(|line| line.rsplit(", ").next()).map(String::from).collect())
}

/// How closely the encoding shows what was filmed: the mean over all frames of the peak signal-to-noise ratio, in dB.
pub fn likeness(frames: &[impl AsRef<[u8]>]) -> Result<f64> {
    let source = format!("testsrc2=size={}x{}:rate=30,trim=end_frame={LENGTH}", SIZE.0, SIZE.1);
    let compare = "[1]format=yuv420p[filmed];[0][filmed]psnr=stats_file=-";
    let arguments =
        ["-f", "ivf", "-i", "-", "-f", "lavfi", "-i", &source, "-lavfi", compare, "-f", "null", "/dev/null"];
    let output = run(&arguments, &ivf::write(frames, SIZE))?;
    let text = String::from_utf8_lossy(&output);
    let ratios: Vec<f64> = text
        .split_ascii_whitespace()
        .filter_map(|word| word.strip_prefix("psnr_avg:")?.parse().ok())
        .collect();
    if ratios.len() != frames.len() {
        return Err(format!("ffmpeg compared {} of {} frames", ratios.len(), frames.len()));
    }
    Ok(ratios.iter().sum::<f64>() / ratios.len() as f64)
}

/// Runs it to its end; anything but success without a word is a failure.
fn run(arguments: &[&str], input: &[u8]) -> Result<Vec<u8>> {
    let mut child = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-xerror", "-threads", "1"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("ffmpeg, which `scripts/setup test` installs, does not start: {error}"))?;
    let stdin = child.stdin.take();
    let output = std::thread::scope(|scope| {
        scope.spawn(|| {
            // That it took no more is told by its status.
            let _ = stdin.map(|mut stdin| stdin.write_all(input));
        });
        child.wait_with_output()
    })
    .map_err(|error| format!("ffmpeg ended badly: {error}"))?;
    if !output.status.success() || !output.stderr.is_empty() {
        return Err(format!("ffmpeg: {}, {}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    Ok(output.stdout)
}

/// Layers of 40, 20 and 40 % of the rate, each picture decodable without those of higher layers (`error-resilient`).
/// A negative `cpu-used` is a speed that does not depend on the machine's, so that the film is always the same.
const ENCODER: &[&str] = &[
    "-pix_fmt",
    "yuv420p",
    "-c:v",
    "libvpx",
    "-threads",
    "1",
    "-b:v",
    "400k",
    "-minrate",
    "400k",
    "-maxrate",
    "400k",
    "-deadline",
    "realtime",
    "-cpu-used",
    "-8",
    "-lag-in-frames",
    "0",
    "-auto-alt-ref",
    "0",
    "-error-resilient",
    "default",
    "-g",
    "9999",
    "-ts-parameters",
    "ts_number_layers=3:ts_target_bitrate=160,240,400:ts_rate_decimator=4,2,1:ts_periodicity=4:ts_layer_id=0,2,1,2:ts_layering_mode=3",
    "-f",
    "ivf",
    "-",
];
const DECODER: &[&str] =
    &["-err_detect", "explode", "-f", "ivf", "-i", "-", "-fps_mode", "passthrough", "-f", "framemd5", "-"];
