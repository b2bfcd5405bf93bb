//! scratch
use phone::Mouth;
use std::time::{Duration, Instant};
use system_tests::office::Office;
use system_tests::program::{Reply, tone_wav};
#[tokio::test(flavor = "multi_thread")]
async fn variants() {
    let office = Office::with(system_tests::server::ServerOptions::default()).await;
    for shards in 0..1 {
        let path = format!("/m{shards}.wav");
        office.program.reply(&path, Reply::Plain(200, "audio/wav", tone_wav(600, -20.0, 2)));
        let name = format!("c{shards}");
        let attributes = format!(r#"stayAlone="true" waitMusicUrl="{}" waitMusicMethod="GET""#, office.program.url(&path));
        let m = office.joins(&name, &name, "Customer", &attributes, Mouth::Silence).await;
        let h = m.call.ear().wait_heard(600, -30.0, Instant::now(), Duration::from_secs(2)).await;
        eprintln!("{shards} {h:?}");
        for patch in [serde_json::json!({"hold": true}), serde_json::json!({"hold": false}), serde_json::json!({"mute": true})] {
            let t = Instant::now();
            let a = office.native.request(reqwest::Method::PATCH, &format!("/rooms/{}/members/{}", m.room, m.number), Some(patch)).await;
            eprintln!("{a:?} {:?}", t.elapsed());
        }
        let h = m.call.ear().wait_heard(600, -30.0, Instant::now(), Duration::from_secs(2)).await;
        eprintln!("{}", office.native.get("/events?after=0").await["items"].as_array().unwrap().iter().map(|e| format!("{} {}", e["kind"], e["payload"]["detail"])).collect::<Vec<_>>().join("\n"));
        eprintln!("after hold and unhold {h:?}");
        for l in office.server.metrics().await.lines().filter(|l| !l.starts_with('#') && (l.contains("media") )) { if !l.contains("lateness") && !l.ends_with(" 0") { eprintln!("{l}"); } }
    }
}
