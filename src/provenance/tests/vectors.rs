//! Test vectors: bytes that every version must write and read.
//!
//! They were written by the first version and checked by `tests/verify_export.py`, which
//! shares no code with it. If one of these tests fails, a format has changed: that needs
//! a new format number, and this vector stays and must still be read.

use std::{io::Cursor, process::Command};

use crate::{
    domain::{genome::Genome, lifecycle::Verdict},
    provenance::{
        block::Block,
        digest::sha256,
        entry::{self, Keys},
        error::Error,
        export::{self, Export, Request},
        manifest::{FileFacts, genome_digest, manifest},
        seal::{BlobKind, MasterKey, SessionKey},
        sign::{KeyRing, Purpose},
        statement::SigningKey,
    },
};

use super::fixture::*;

const EXPORT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/export.hex"));

const PUBLIC: &str = "ed4928c628d1c2c6eae90338905995612959273a5c63f93636c14614ac8737d1";
const FINGERPRINT: &str = "b62e867fa2f33afe62d5d6b1642e1621d543307846b2a57b897e710919b76709";
const SIGNED_HEADER: &str = "\
    bd6887d8c4720148158224aca25fae3eab716dce215189ca2c2a3db8b73e8f0db7d7e2a8ec1f6a920e85c49611\
    ec37ba0a407e8830858a4d5546cc212c4e2303";
const SIGNED_STATEMENT: &str = "\
    192cd0254a3c1e248812ad50ba47e1392695f2b2597763e9921ac7a8553f21264dae771b1f7e4ea4642877d676\
    360b15c0faa553a5cf6dc7f2fff313a33df508";
const SESSION_KEY_ID: &str = "3ae235b6e52d55cecb5bf39ae2482940";
const MASTER_KEY_ID: &str = "5a0d23f3100d492c5d8499183defb67b";
const MAC: &str = "abd1f0447ec7857af5458aebfe2b64cc623004ca80bde2529474b23593c9b1d2";
const SEALED: &str = "\
    44574e530102000000000000000101010101010101010101010101010101010101010101010101010101010101\
    016aa84c9887abe36aabf6f4f9ca1f073e5891709e4e10268a2caa6975c786086387ceda9900f58f130cac66cd\
    f7cfce2e09eccc";
const WRAPPED: &str = "\
    44574e530109000000000000000102020202020202020202020202020202020202020202020202020202020202\
    02928ef5f9f97a846f3814b5f96a63d39d63bdbcd2f58939d9293bdb38ddb662c493ac288061bad467ca7be77b\
    0e40991fa8288fd7697b6a8614148e5b714308b446bc2b82c5cab9376ab72b350de9225c";
const MANIFEST: &str = "\
    a56176016566696c6573a2676d61696e2e7079a3646d6f64651981a46473697a65190258666469676573745820\
    f02b58f2bf1792097fa48371c5a341f2612374730b6632dd9ff153b8d769c59e7270726f6d70742f6772c3b6c3\
    9f652e747874a3646d6f64651981a46473697a6505666469676573745820f9b0078b5df596d2ea19010c001bbd\
    009e651de2c57e8fb7e355f31eb9d3f739656d6f64656c65736d616c6c66706172616d73a3636163746474616e\
    686472617465fb3fd0000000000000657769647468216874656d706c617465f6";
const GENOME: &str = "992f0cf1c9e611f50f81d02d8cb82881206a267f9d5f4c1c471d897e38e8b391";
const EMPTY_GENOME: &str = "2a83308c3cd1d79eaf3a77074ae5af35d312ee6b867e8193a77309e222790377";
const ENTRY: &str = "\
    a2637369675840473e355e71fa4a0031f0030a831184324f6436bc0c8ad5569f28e6990ace0dd12f71fc989002\
    e1c1c21fe6b94d64351689b3d7c8b1be6f21f9ca288a20f0e1026668656164657258f9aa617601636b6579503a\
    e235b6e52d55cecb5bf39ae2482940637365710064626f6479815824015512209a0cc518614ee338efb9aee7fc\
    5ed74c5e19b9d0fd610bcb71ceb34d8a51a6206470726576f6656167656e7450018bcfe5680170008002070707\
    070707656b696e6473836870726f706f736564696576616c7561746564666a7564676564667369676e65725820\
    b62e867fa2f33afe62d5d6b1642e1621d543307846b2a57b897e710919b7670967706172656e74738158240171\
    1220c19a797fa1fd590cd2e5b42d1cf5f246e29b91684e2f87404b81dc345c7a56a06773657373696f6e50018b\
    cfe5680079098909090909090909";
const ENTRY_CID: &str = "bafyreibqb7t2sjeljifrehplwxtzycm3i66skxtc5cdgwhlvwvhpxblxwq";
const BODY: &str = "\
    44574e53010100000000000000010000000000000003a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5\
    a59b431b28492debd3bf5f89b8c96f5ff2cd78a2d014963be01b453bbabd0c8050114f3d8ec8dc1f24827963af\
    6df5fed2e08f4774bb7625cad7cb0827c9fd76d405576b1959b4ae0d4263444a11af687a8387d683a6491a3d21\
    83747fac50a4bb8e3cb37ee091bd8a63b7fd2efffbb3bdc3ba34e648506e096792ef6ce9bc1eb406a9a2a97c8e\
    ffd7fced5d11ceb3d34a12ddecddc41485a39cde74d82312d3d32d0aeb77fdb06aac39c1bbee88411d5cacb31e\
    f2ce3758f97da5779e442b240aed7173e1ed82bba541935ea9407509374abb354fbf7ed28a56c415a58026f160\
    a725d362c181964a8c7af7452393ff73028e6109c3a910db13b536b6535a20a45ede0e4c5a353fd1270a11a994\
    45d2f1032fba482fde0c3a6295529b2c7e6049d83033e7f5108a6400b1514796470a1f222d34c70869c8de66cb\
    6c9b956dde128ac234731e09e9105855045431f4158e4592c825dccca968075b54073a11a8bef0735037c82349\
    eeff3846475b4fab5234b186fb0cd8f4e70311da737999199e5170aad74a9e21643cc8b559337b30b9783c505a\
    7862f3d07f6ec37e2ced30f17433619de494eb5b117b5db5d24b91dc0d348c9e12aa35a1b574b1d64942cfc919\
    d7b0b599aa280644b65005161504fcfc25174649c243c8f57ceed9d8d6b04530efef10410f6fd0605c83437117\
    b91d61eaf229e72aaf259f4332c0c528b977ab4ddbf4b11ff52126f9ee0156acdb45aced1f869e1cd438edc5f3\
    8cfcd073e08eab6b1def156d1138d8ba59a9535c941299c9ad56bda39da74cc6ed33dae380bf5e5b52ffde5d61\
    fa0baf5c9f8b9038d617410d5a0094da0312054ada42c70d810231b8e1c15a78d6ca6884c782fb8a949240a54c\
    0c282e4dfc64fbceadeb1643e3007d5cbed54d3882b4d1314da720e425ba79bf0d661dd2433f63a8564a0406fe\
    ae29c0255e1e9307e54229b3c4b803e7915492f97ed0df32d3aa0cba3634efc3335fda97355e06540a9a393b3a\
    6d70d5a6f6cf285025ecf2fb951c9b6e085211f25aaefa19c8a59351ac46d3846c19ef6cc1b312713fb367ab79\
    92e341c5fb2fc2c36d4640f63d1ef68d905b3c431aa2741a729d750bd5c16032cc14b41ccbc44028dca7d89b16\
    e75937e3fd2d1d3050228184ac1a1604a00f6f5a5f15a5bc941401cff33abb6aecf1186a655999b92c14749240\
    050b85a7c7651743495cc2904464961a66cde1d14cacf9d30696c66f4b";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

#[test]
fn signatures() {
    let signer = signer();
    assert_eq!(hex(&signer.public().0), PUBLIC);
    assert_eq!(signer.id().to_string(), FINGERPRINT);
    assert_eq!(hex(&signer.sign(Purpose::Entry, b"header")), SIGNED_HEADER);
    assert_eq!(hex(&signer.sign(Purpose::Export, b"header")), SIGNED_STATEMENT);
}

#[test]
fn sealed_blocks() {
    let sealer = sealer();
    assert_eq!(sealer.id().to_string(), SESSION_KEY_ID);
    assert_eq!(MasterKey::new([1; 32]).id().to_string(), MASTER_KEY_ID);
    assert_eq!(hex(&sealer.mac(BlobKind::File, &sha256(b"abc"))), MAC);
    let sealed = sealer.seal(BlobKind::File, b"abc", [1; 32]).unwrap();
    assert_eq!(hex(&sealed), SEALED);
    assert_eq!(sealer.open(BlobKind::File, &unhex(SEALED)).unwrap(), b"abc");
    let master = MasterKey::new([1; 32]);
    let wrapped = master.wrap(&SessionKey::new([5; 32]), session(), [2; 32]);
    assert_eq!(hex(&wrapped), WRAPPED);
    let key = master.unwrap(&unhex(WRAPPED), session()).unwrap();
    assert_eq!(key.disclose(), &[5; 32]);
}

#[test]
fn genome_digests() {
    let genome = genome();
    let facts = genome.files.iter().map(|(path, file)| FileFacts {
        path: path.as_str(),
        executable: file.executable,
        size: file.bytes.len() as u64,
        digest: sha256(&file.bytes),
    });
    assert_eq!(hex(&manifest(facts.collect(), &genome, &space()).unwrap()), MANIFEST);
    assert_eq!(genome_digest(&genome, &space()).unwrap().to_string(), GENOME);
    let empty =
        genome_digest(&Genome::default(), &crate::domain::genome::Space::default()).unwrap();
    assert_eq!(empty.to_string(), EMPTY_GENOME);
}

#[test]
fn entries() {
    let parent = Block::dag_cbor(&b"\xa0"[..]).cid;
    let own = agent(1, 2);
    let link = first(own, vec![parent]);
    let events = life(own, &[agent(0, 1)], 1.5, Some(0.5));
    let written = write(&link, &events).unwrap();
    assert_eq!(hex(&written.entry.bytes), ENTRY);
    assert_eq!(written.entry.cid.to_string(), ENTRY_CID);
    assert_eq!(hex(&written.body[0].bytes), BODY);

    let entry = entry::read(&Block::dag_cbor(unhex(ENTRY)), &ring()).unwrap();
    assert_eq!(entry.header.link, link);
    let body = unhex(BODY);
    let get = &mut |cid: &_| -> Result<_, Error> {
        let beside = written.blobs.iter().flat_map(|blob| &blob.blocks);
        let beside = beside.filter(|block| block.cid == *cid).map(|block| block.bytes.clone());
        Ok(Some(beside.last().unwrap_or_else(|| body.clone().into())))
    };
    assert_eq!(entry::open(&entry, &sealer(), get).unwrap(), events);
}

#[test]
fn exports() {
    let (signer, sealer) = (signer(), sealer());
    let mut world = World::grow(Keys { signer: &signer, sealer: &sealer });
    let keys = [SigningKey { public: signer.public(), since_ms: 5, until_ms: None }];
    let request = Request {
        agents: &[agent(2, 0)],
        at_ms: 1_700_000_009_000,
        keys: &keys,
        disclosed: &[(session(), SessionKey::new([5; 32]))],
    };
    let mut file = Vec::new();
    let out = &mut |piece: Vec<u8>| {
        file.extend(piece);
        Ok::<_, std::convert::Infallible>(())
    };
    let sealer = std::sync::Arc::new(sealer);
    let ours = &mut |_| Some(sealer.clone());
    export::export(&mut world, &ring(), ours, &signer, request, out).unwrap();
    assert_eq!(hex(&file), hex(&unhex(EXPORT)));

    let mut pinned = KeyRing::new();
    pinned.pin(FINGERPRINT.parse().unwrap());
    let mut export = Export::open(Cursor::new(unhex(EXPORT)), &pinned).unwrap();
    let report = export.verify(&mut |_| None).unwrap();
    assert_eq!((report.agents, report.entries, report.opened), (4, 5, 5));
    let head =
        Block::found(world.heads[&agent(2, 0)], world.blocks[&world.heads[&agent(2, 0)]].clone());
    let entry = entry::read(&head.unwrap(), &ring()).unwrap();
    let get = &mut |cid: &_| -> Result<_, Error> { Ok(world.blocks.get(cid).cloned()) };
    let events = entry::open(&entry, &sealer, get).unwrap();
    let parents = [agent(1, 0), agent(0, 0)];
    assert_eq!(events, small(agent(2, 0), &parents, 1.5, Verdict::Scored, Some(-1.0)));
}

#[test]
fn a_verifier_that_shares_no_code_agrees() {
    let root = env!("CARGO_MANIFEST_DIR");
    let run = |trust: &str, file: &std::path::Path| {
        let run = Command::new("python3")
            .arg(format!("{root}/tests/verify_export.py"))
            .args(["--trust", trust])
            .arg(file)
            .output()
            .expect("python3 is needed to run the tests");
        let said = [run.stdout, run.stderr].concat();
        (run.status.success(), String::from_utf8_lossy(&said).into_owned())
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("export.car");
    std::fs::write(&path, unhex(EXPORT)).unwrap();
    let sound = "4 agents, 5 entries, 5 opened, 14 blocks\n";
    assert_eq!(run(FINGERPRINT, &path), (true, sound.to_owned()));

    let (fine, said) = run(GENOME, &path);
    assert!(!fine && said.contains("not trusted"), "{said}");
    let mut bad = unhex(EXPORT);
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    std::fs::write(&path, bad).unwrap();
    let (fine, said) = run(FINGERPRINT, &path);
    assert!(!fine && said.contains("fault: "), "{said}");
}
