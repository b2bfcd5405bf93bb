//! The torture messages of RFC 4475, written anew from what it says about each, and others of their kind, on real sockets.

mod bench;

use bench::*;
use sip::SipConfig;

use Verdict::*;

/// What is to become of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It is answered so.
    Answer(u16),
    /// It is well-formed, and nobody's.
    Passed,
    /// It is malformed, and must not be answered.
    Dropped,
}

/// Name in RFC 4475, if it is from there; what is odd; the message; what becomes of it. See [`build`] for `$`.
const TORTURE: &[(&str, &str, &str, Verdict)] = &[
    ("", "plain", "OPTIONS sip:h SIP/2.0\r\n$V$M(OPTIONS)\r\n", Answer(200)),
    (
        "",
        "folded lines, spaces before colons, compact and mixed-case names, escaped quotes",
        "OPTIONS sip:h;unknown-param SIP/2.0\r\nTO :\r\n sip:v@h ;   tag    = \r\nfrom   : \"J \\\\\\\"\"\r\n  <sip:j@h>\r\n  ;\r\n  tag = 98\r\n\
         MaX-fOrWaRdS: 0068\r\nCall-ID: w.\r\nCSeq: 0009\r\n  OPTIONS\r\n$VSubject:\r\nNewFangled: x\r\n y\r\nl: 0\r\n\r\n",
        Answer(200),
    ),
    ("", "method made of odd token characters", "!im%p*0_`'.+ sip:h SIP/2.0\r\n$V$M(!im%p*0_`'.+)\r\n", Answer(501)),
    (
        "esc02",
        "an escaped method name is another method",
        "RE%47IST%45R sip:h SIP/2.0\r\n$V$M(RE%47IST%45R)\r\n",
        Answer(501),
    ),
    (
        "lwsdisp",
        "no white space before the bracket",
        "OPTIONS sip:h SIP/2.0\r\n$V$M(OPTIONS)Contact: caller<sip:c@h>\r\n\r\n",
        Answer(200),
    ),
    (
        "",
        "controls inside a quoted name",
        "OPTIONS sip:h SIP/2.0\r\n$V$M(OPTIONS)Contact: \"BEL:\\\x07 NUL:\\\0\" <sip:c@h>\r\n\r\n",
        Answer(200),
    ),
    ("semiuri", "semicolon in the user part", "OPTIONS sip:u;par=u%40n@h SIP/2.0\r\n$V$M(OPTIONS)\r\n", Answer(200)),
    (
        "transports",
        "unknown transports in lower Vias",
        "OPTIONS sip:h SIP/2.0\r\n$VVia: SIP/2.0/SCTP t2;branch=z9hG4bKb, SIP/2.0/UNKNOWN t5\r\n$M(OPTIONS)\r\n",
        Answer(200),
    ),
    (
        "dblreq",
        "bytes behind the body of a datagram",
        "OPTIONS sip:h SIP/2.0\r\n$V$M(OPTIONS)l: 0\r\n\r\nINVITE sip:x SIP/2.0\r\n\r\n",
        Answer(200),
    ),
    (
        "zeromf",
        "Max-Forwards 0 at its goal",
        "OPTIONS sip:h SIP/2.0\r\n$V$M(OPTIONS)Max-Forwards: 0\r\n\r\n",
        Answer(200),
    ),
    (
        "badbranch",
        "branch of nothing but the cookie",
        "OPTIONS sip:h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK;rport\r\n$M(OPTIONS)\r\n",
        Answer(200),
    ),
    (
        "",
        "IPv6 in Via",
        "OPTIONS sip:[::1] SIP/2.0\r\nVia: SIP/2.0/UDP [2001:db8::9:1]:6050;rport;branch=z9hG4bK6\r\n$M(OPTIONS)\r\n",
        Answer(200),
    ),
    ("unkscm", "unknown scheme", "OPTIONS nobodyKnows:opaque SIP/2.0\r\n$V$M(OPTIONS)\r\n", Answer(416)),
    (
        "novelsc",
        "unknown scheme with an authority",
        "OPTIONS soap.beep://192.0.2.103:3002 SIP/2.0\r\n$V$M(OPTIONS)\r\n",
        Answer(416),
    ),
    (
        "bext01",
        "unknown Require and Proxy-Require",
        "OPTIONS sip:h SIP/2.0\r\n$V$M(OPTIONS)Require: nothing\r\nProxy-Require: noway\r\n\r\n",
        Answer(420),
    ),
    ("badvers", "another version", "OPTIONS sip:h SIP/7.0\r\n$V$M(OPTIONS)\r\n", Answer(505)),
    ("mismatch01", "CSeq of another method", "OPTIONS sip:h SIP/2.0\r\n$V$M(INVITE)\r\n", Answer(400)),
    ("mismatch02", "unknown method with CSeq of another", "NEWMETHOD sip:h SIP/2.0\r\n$V$M(INVITE)\r\n", Answer(400)),
    (
        "",
        "CSeq beyond 2^31",
        "OPTIONS sip:h SIP/2.0\r\n$VFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: c\r\nCSeq: 36893488147419103232 OPTIONS\r\n\r\n",
        Answer(400),
    ),
    ("", "Max-Forwards beyond 255", "OPTIONS sip:h SIP/2.0\r\n$V$M(OPTIONS)Max-Forwards: 300\r\n\r\n", Answer(400)),
    ("insuf", "no Call-ID, From, To", "INVITE sip:h SIP/2.0\r\n$VCSeq: 193942 INVITE\r\nl: 0\r\n\r\n", Answer(400)),
    ("multi01", "two CSeq, Call-ID, To", "OPTIONS sip:h SIP/2.0\r\n$V$M(OPTIONS)$M(OPTIONS)\r\n", Answer(400)),
    (
        "mcl01",
        "two Content-Lengths",
        "OPTIONS sip:h SIP/2.0\r\n$V$M(OPTIONS)Content-Length: 5\r\nContent-Length: 2\r\n\r\nhello",
        Answer(400),
    ),
    (
        "clerr",
        "Content-Length beyond the datagram",
        "INVITE sip:h SIP/2.0\r\n$V$M(INVITE)Content-Length: 9999\r\n\r\nv=0",
        Answer(400),
    ),
    (
        "ncl",
        "negative Content-Length",
        "INVITE sip:h SIP/2.0\r\n$V$M(INVITE)Content-Length: -999\r\n\r\nv=0",
        Answer(400),
    ),
    (
        "badinv01",
        "Via of separators",
        "INVITE sip:h SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.15;;,;,,\r\n$M(INVITE)\r\n",
        Answer(400),
    ),
    (
        "",
        "Contact of quotes",
        "INVITE sip:h SIP/2.0\r\n$V$M(INVITE)Contact: \"Joe\" <sip:j@h>;;,\"\r\n\r\n",
        Answer(400),
    ),
    (
        "quotbal",
        "unbalanced quote in To",
        "OPTIONS sip:h SIP/2.0\r\n$VFrom: <sip:a@h>;tag=1\r\nTo: \"Mr. J <sip:j@h>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n\r\n",
        Answer(400),
    ),
    ("ltgtruri", "Request-URI in brackets", "INVITE <sip:u@h> SIP/2.0\r\n$V$M(INVITE)\r\n", Answer(400)),
    ("lwsruri", "white space in the Request-URI", "INVITE sip:u@h; lr SIP/2.0\r\n$V$M(INVITE)\r\n", Answer(400)),
    ("lwsstart", "two spaces in the request line", "INVITE  sip:u@h  SIP/2.0\r\n$V$M(INVITE)\r\n", Answer(400)),
    ("trws", "spaces after the version", "OPTIONS sip:h SIP/2.0  \r\n$V$M(OPTIONS)\r\n", Answer(400)),
    (
        "escruri",
        "headers in the Request-URI",
        "INVITE sip:u@h?Route=%3Csip:h%3E SIP/2.0\r\n$V$M(INVITE)\r\n",
        Answer(400),
    ),
    (
        "regbadct",
        "headers in a bare Contact",
        "REGISTER sip:acct.test SIP/2.0\r\n$V$M(REGISTER)Contact: sip:u@h?Route=%3Csip:h%3E\r\n\r\n",
        Answer(400),
    ),
    (
        "badaspec",
        "spaces inside the brackets of To",
        "OPTIONS sip:h SIP/2.0\r\n$VFrom: <sip:a@h>;tag=1\r\nTo: \"W, T\" < sip:t@h >\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n\r\n",
        Answer(400),
    ),
    (
        "baddn",
        "comma in a bare display name",
        "OPTIONS sip:h SIP/2.0\r\n$VFrom: Bell, A <sip:a@h>;tag=1\r\nTo: <sip:t@h>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n\r\n",
        Answer(400),
    ),
    ("", "header line without colon", "OPTIONS sip:h SIP/2.0\r\n$V$M(OPTIONS)garbage\r\n\r\n", Answer(400)),
    ("", "no end of headers", "OPTIONS sip:h SIP/2.0\r\n$V$M(OPTIONS)", Answer(400)),
    (
        "regaut01",
        "unknown authorization scheme",
        "REGISTER sip:acct.test SIP/2.0\r\n$VFrom: <sip:alice@acct.test>;tag=1\r\nTo: <sip:alice@acct.test>\r\nCall-ID: r\r\nCSeq: 1 REGISTER\r\nAuthorization: NoOneKnows opaque-data=here\r\n\r\n",
        Answer(401),
    ),
    (
        "cparam02",
        "unknown contact parameters",
        "REGISTER sip:acct.test SIP/2.0\r\n$VFrom: <sip:alice@acct.test>;tag=1\r\nTo: <sip:alice@acct.test>\r\nCall-ID: r2\r\nCSeq: 1 REGISTER\r\nContact: <sip:+1@h;unknownparam>;x=y\r\n\r\n",
        Answer(401),
    ),
    (
        "unksm2",
        "To of an unknown scheme",
        "REGISTER sip:acct.test SIP/2.0\r\n$VFrom: <isbn:2>;tag=1\r\nTo: <isbn:2983792873>\r\nCall-ID: r3\r\nCSeq: 1 REGISTER\r\n\r\n",
        Answer(400),
    ),
    (
        "invut",
        "unknown content type",
        "INVITE sip:h SIP/2.0\r\n$V$M(INVITE)Content-Type: application/unknownformat\r\nl: 5\r\n\r\n<a/>x",
        Answer(415),
    ),
    (
        "",
        "multipart message",
        "MESSAGE sip:h SIP/2.0\r\n$V$M(MESSAGE)Content-Type: multipart/mixed;boundary=7a\r\nl: 4\r\n\r\n--7a",
        Answer(405),
    ),
    (
        "baddate",
        "bad Date is only a bad Date",
        "INVITE sip:trunk1@h SIP/2.0\r\n$V$M(INVITE)Date: Fri, 01 Jan 2010 16:00:00 EST\r\nContact: <sip:c@h>\r\n$B",
        Answer(480),
    ),
    (
        "inv2543",
        "body without Content-Length, no tags, no Contact, no branch",
        "INVITE sip:trunk2@h SIP/2.0\r\nVia: SIP/2.0/UDP iftgw;rport\r\nFrom: <sip:+1@h;user=phone>\r\nTo: sip:+2@h;user=phone\r\nCall-ID: i2543\r\nCSeq: 56 INVITE\r\n$B",
        // RFC 3261 §8.1.1.8 wants a Contact; without one nobody knows where the call's BYE goes.
        Answer(400),
    ),
    (
        "",
        "body without Content-Length, no tags, no branch",
        "INVITE sip:trunk2@h SIP/2.0\r\nVia: SIP/2.0/UDP iftgw;rport\r\nFrom: <sip:+1@h;user=phone>\r\nTo: sip:+2@h;user=phone\r\nCall-ID: i2543c\r\nCSeq: 56 INVITE\r\nContact: <sip:+1@h>\r\n$B",
        Answer(480),
    ),
    ("bigcode", "response with an overlarge code", "SIP/2.0 4294967301 better not\r\n$V$M(INVITE)\r\n", Dropped),
    ("", "response with huge numbers", "SIP/2.0 503 x\r\n$V$M(INVITE)Retry-After: 9999999999999999999\r\n\r\n", Passed),
    ("noreason", "response without reason", "SIP/2.0 100 \r\n$V$M(INVITE)\r\n", Passed),
    (
        "bcast",
        "stray 200 with a foreign Via",
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 255.255.255.255\r\n$M(INVITE)\r\n",
        Passed,
    ),
    ("", "malformed ACK", "ACK sip:h SIP/2.0\r\n$V$M(INVITE)\r\n", Dropped),
    ("", "not SIP at all", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", Dropped),
    ("", "nothing but zeros", "\0\0\0\0", Passed),
    (
        "wsinv",
        "every liberty with white space, folding, names and parameters, inside a dialog that does not exist",
        "INVITE sip:vivekg@h;unknownparam SIP/2.0\r\nVia  : SIP  /   2.0\r\n /UDP\r\n    $A;rport;branch  =  z9hG4bKtws\r\n\
         v:  SIP  / 2.0  / TCP     spindle.h   ;\r\n  branch  =   z9hG4bK9ikj8  ,\r\n SIP  /    2.0   / UDP  192.168.255.111   ; branch=\r\n z9hG4bK30239\r\n\
         TO :\r\n sip:vivekg@h ;   tag    = 1918181833n\r\nfrom   : \"J Rosenberg \\\\\\\"\"       <sip:jdrosen@h>\r\n  ;\r\n  tag = 98asjd8\r\n\
         MaX-fOrWaRdS: 0068\r\nCall-ID: wsinv.ndaksdj@192.0.2.1\r\nContent-Length   : 0\r\ncseq: 0009\r\n  INVITE\r\ns :\r\n\
         NewFangledHeader:   newfangled value\r\n continued newfangled value\r\nUnknownHeaderWithUnusualValue: ;;,,;;,;\r\n\
         Content-Type: application/sdp\r\nRoute:\r\n <sip:services.h;lr;unknownwith=value;unknown-no-value>\r\n\
         m:\"Quoted string \\\"\\\"\" <sip:jdrosen@h> ; newparam =\r\n      newvalue ;\r\n  secondparam ; q = 0.33\r\n\r\n",
        Answer(481),
    ),
    (
        "",
        "the same as a new call",
        "INVITE sip:trunk3@h;unknownparam SIP/2.0\r\nVia  : SIP  /   2.0\r\n /UDP\r\n    $A;rport;branch  =  z9hG4bKtws2\r\n\
         TO :\r\n sip:vivekg@h ;   other    = 1918181833n\r\nfrom   : \"J Rosenberg \\\\\\\"\"       <sip:jdrosen@h>\r\n  ;\r\n  tag = 98asjd8\r\n\
         MaX-fOrWaRdS: 0068\r\nCall-ID: wsinv2.ndaksdj@192.0.2.1\r\ncseq: 0009\r\n  INVITE\r\ns :\r\n\
         UnknownHeaderWithUnusualValue: ;;,,;;,;\r\nm:\"Quoted string \\\"\\\"\" <sip:jdrosen@h> ; newparam =\r\n      newvalue ; q = 0.33\r\n$B",
        Answer(480),
    ),
    (
        "intmeth",
        "every character that a method, a URI, a name and a tag may hold",
        "!interesting-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@h SIP/2.0\r\n\
         Via: SIP/2.0/UDP $A;rport;branch=z9hG4bK-.!%66*_+`'~\r\n\
         To: \"BEL:\\\x07 NUL:\\\0 DEL:\\\x7f\" <sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@h>\r\n\
         From: token1~` token2'+_ token3*%!.- <sip:mundane@h>;fromParam''~+*_!.-%=\"работающий\";tag=_token~1'+`*%!-.\r\n\
         Call-ID: intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{\r\nCSeq: 139122385 !interesting-Method0123456789_*+`.%indeed'~\r\n\
         Max-Forwards: 255\r\nextensionHeader-!.%*+_`'~:大停電\r\nContent-Length: 0\r\n\r\n",
        Answer(501),
    ),
    (
        "esc01",
        "percent escapes that hide a URI in a user",
        "INVITE sip:trunk%3Auser%40example.com@example.net SIP/2.0\r\n$V$M(INVITE)Contact: <sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31>\r\n$B",
        Answer(480),
    ),
    (
        "escnull",
        "percent-escaped NULs in URIs",
        "REGISTER sip:acct.test SIP/2.0\r\n$VFrom: sip:null-%00-null@acct.test;tag=839923423\r\nTo: sip:null-%00-null@acct.test\r\nCall-ID: escnull\r\nCSeq: 14398234 REGISTER\r\nContact: <sip:%00@host5.example.com>\r\nContact: <sip:%00%00@host5.example.com>\r\nl: 0\r\n\r\n",
        Answer(401),
    ),
    (
        "longreq",
        "long values in every place, and many Vias",
        "INVITE sip:trunk4@h SIP/2.0\r\n$VTo: \"I have a user name of $L proportion\"<sip:user@example.com:6000;unknownparam1=very$Lvalue;longparam$Lname=shortvalue;very$LParameterNameWithNoValue>\r\n\
         F: sip:amazinglylongcallername$L@example.net;tag=12$L424;unknownheaderparam$Lname=unknown$Lvalue;unknownValueless$Lparam\r\n\
         Call-ID: longreq.one$Lreallylongcallid\r\nCSeq: 3882340 INVITE\r\nUnknown-$L-Name: unknown-$L-value; unknown-$L-name=$L\r\n\
         v: SIP/2.0/TCP sip33.example.com;branch=$L, SIP/2.0/TCP sip32.example.com;branch=$L\r\n\
         V: SIP/2.0/TCP sip31.example.com;branch=verylong$Lbranchvalue\r\nMax-Forwards: 70\r\n\
         Contact: <sip:amazinglylongcallername$L@host5.example.net>\r\n$B",
        Answer(480),
    ),
    (
        "mpart01",
        "a multipart message with bytes that are no text",
        "MESSAGE sip:kumiko@example.org SIP/2.0\r\n$V$M(MESSAGE)MIME-Version: 1.0\r\nContent-Type: multipart/mixed;boundary=7a9cbec02ceef655\r\n\r\n--7a9cbec02ceef655\r\nContent-Type: text/plain\r\n\r\nHello\r\n--7a9cbec02ceef655\r\nContent-Type: application/octet-stream\r\n\r\n$X$X\r\n--7a9cbec02ceef655--\r\n",
        Answer(405),
    ),
    (
        "unreason",
        "response with an unusual reason",
        "SIP/2.0 200 = 2**3 * 5**2 но сто девяносто девять - простое\r\n$V$M(INVITE)\r\n",
        Passed,
    ),
    (
        "scalar02",
        "request with overlarge numbers",
        "REGISTER sip:acct.test SIP/2.0\r\n$VFrom: <sip:user@acct.test>;tag=239232jh3\r\nTo: <sip:user@acct.test>\r\nCall-ID: scalar02\r\nCSeq: 36893488147419103232 REGISTER\r\nMax-Forwards: 300\r\nExpires: 10000000000\r\nContact: <sip:user@host129.example.com>;expires=280297596632815\r\nl: 0\r\n\r\n",
        Answer(400),
    ),
    (
        "scalarlg",
        "response with overlarge numbers",
        "SIP/2.0 503 Service Unavailable\r\n$VFrom: <sip:user@example.com>;tag=2easdjfejw\r\nTo: <sip:user@example.com>;tag=asdfwe\r\nCall-ID: scalarlg\r\nCSeq: 9292394834772304023312 OPTIONS\r\nRetry-After: 949302838503028349304023988\r\nWarning: 1812 overture \"In Progress\"\r\nl: 0\r\n\r\n",
        Dropped,
    ),
    (
        "cparam01",
        "unknown header parameter of a bare Contact",
        "REGISTER sip:acct.test SIP/2.0\r\n$VFrom: <sip:alice@acct.test>;tag=1\r\nTo: <sip:alice@acct.test>\r\nCall-ID: cp1\r\nCSeq: 1 REGISTER\r\nContact: sip:+19725552222@gw1.example.net;unknownparam\r\nl: 0\r\n\r\n",
        Answer(401),
    ),
    (
        "regescrt",
        "headers inside the brackets of a Contact",
        "REGISTER sip:acct.test SIP/2.0\r\n$VFrom: <sip:alice@acct.test>;tag=1\r\nTo: <sip:alice@acct.test>\r\nCall-ID: re1\r\nCSeq: 1 REGISTER\r\nContact: <sip:user@example.com?Route=%3Csip:sip.example.com%3E>\r\nl: 0\r\n\r\n",
        Answer(401),
    ),
    (
        "sdp01",
        "no answer that the caller would accept",
        "INVITE sip:trunk5@h SIP/2.0\r\n$V$M(INVITE)Accept: text/nobodyKnowsThis\r\n$B",
        Answer(406),
    ),
];

/// The names of all messages of RFC 4475, by section.
const RFC_4475: &[(&str, &str)] = &[
    ("3.1.1", "wsinv intmeth esc01 escnull esc02 lwsdisp longreq dblreq semiuri transports mpart01 unreason noreason"),
    (
        "3.1.2",
        "badinv01 clerr ncl scalar02 scalarlg quotbal ltgtruri lwsruri lwsstart trws escruri baddate regbadct badaspec baddn \
         badvers mismatch01 mismatch02 bigcode",
    ),
    ("3.2", "badbranch"),
    (
        "3.3",
        "insuf unkscm novelsc unksm2 bext01 invut regaut01 multi01 mcl01 bcast zeromf cparam01 cparam02 regescrt sdp01",
    ),
    ("3.4", "inv2543"),
];

#[test]
fn no_message_of_rfc_4475_is_left_out() {
    let mut named: Vec<&str> = RFC_4475.iter().flat_map(|(_, names)| names.split_whitespace()).collect();
    let mut here: Vec<&str> = TORTURE.iter().map(|row| row.0).filter(|name| !name.is_empty()).collect();
    assert_eq!(named.len(), 49);
    named.sort_unstable();
    here.sort_unstable();
    assert_eq!(here, named);
}

#[tokio::test]
async fn every_torture_message_gets_its_verdict() {
    let mut bench = Bench::new().await;
    let mut faults = Vec::new();
    for (n, (rfc, name, template, verdict)) in TORTURE.iter().enumerate() {
        let ua = Ua::new(bench.at).await;
        let malformed = bench.counter("malformed");
        ua.send_bytes(&build(n, template, &ua)).await;
        if *verdict == Answer(480) {
            // Well-formed calls reach the engine, which here lets go of them.
            assert!(bench.call().await.offer.is_some(), "{name}");
        }
        let got = match verdict {
            Answer(_) => loop {
                match ua.try_recv(DEADLINE).await.map(|g| g.code()) {
                    None => break Passed,
                    Some(100) => {}
                    Some(code) => break Answer(code),
                }
            },
            Passed | Dropped => {
                // A following request shows that the message itself was passed over.
                ua.send_bytes(&build(1_000 + n, PLAIN, &ua)).await;
                let next = ua.last().await;
                match (next.get("Call-ID") == format!("torture{}", 1_000 + n), bench.counter("malformed") - malformed) {
                    (true, 0) => Passed,
                    (true, _) => Dropped,
                    (false, _) => Answer(next.code()),
                }
            }
        };
        if got != *verdict {
            faults.push(format!("{rfc} {name}: {got:?}, not {verdict:?}"));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[tokio::test]
async fn escapes_are_undone_once_where_a_call_is_handed_over() {
    let mut bench = Bench::new().await;
    let ua = Ua::new(bench.at).await;
    let text = "INVITE sip:trunk%3Auser%40example.com@example.net SIP/2.0\r\n$V$M(INVITE)\
                Contact: <sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31>\r\n$B";
    ua.send_bytes(&build(1, text, &ua)).await;
    let call = bench.call().await;
    assert_eq!(
        (call.request_uri.user.as_str(), call.request_uri.host.as_str()),
        ("trunk:user@example.com", "example.net")
    );
    call.leg.answer(&sdp(), &[]).await.unwrap();
    let mut got = ua.last().await;
    let ack = String::from_utf8(build(1, &text.replace("INVITE", "ACK"), &ua)).unwrap();
    let ack = ack.replace("To: <sip:b@h>", &format!("To: {}", got.get("To")));
    ua.send(&ack).await;
    call.leg.hangup(None).await.unwrap();
    got = ua.request("BYE").await;
    // What the peer wrote comes back as he wrote it, not decoded and encoded again.
    assert_eq!(got.start(), "BYE sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31 SIP/2.0");
}

#[tokio::test]
async fn a_malformed_message_is_no_cheaper_than_a_good_one() {
    let limits = sip::Limits { source_rate: 0.1, source_burst: 3.0, ..sip::Limits::default() };
    let bench = Bench::with(SipConfig { limits, ..config() }).await;
    let ua = Ua::new(bench.at).await;
    for n in 0..10 {
        ua.send_bytes(&build(n, "INVITE sip:h SIP/2.0\r\n$V$M(INVITE)Content-Length: 9999\r\n\r\nv=0", &ua)).await;
    }
    bench.until("rate_limited", 7).await;
    assert_eq!((bench.counter("malformed"), bench.counter("malformed_answered")), (3, 3));
}
