#!/usr/bin/env python3
"""Holds the Helm chart to what a Haven cluster demands and to what the service does.

    check.py PROGRAM OUT

There is no helm here: tests/helm/render.go renders with the engine that helm has, Go's text/template. What helm does
besides (schemas of the API server, hooks, dependencies) the chart does not use and this does not check."""

import copy
import json
import os
import pathlib
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch

import yaml

PROGRAM, OUT = sys.argv[1], pathlib.Path(sys.argv[2])
ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "packaging/helm/voorrang"
OUT.mkdir(parents=True, exist_ok=True)
RENDER = OUT / "render"
subprocess.run(["go", "build", "-o", RENDER, ROOT / "tests/helm/render.go"], check=True,
               env={**os.environ, "GO111MODULE": "off"})

META = yaml.safe_load((CHART / "Chart.yaml").read_text())
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())
GIVEN = {
    "image": {"repository": "registry.example/voorrang", "digest": "sha256:" + "0" * 64},
    "logOrigin": "voorrang.example/access-log",
    "tls": {"secretName": "voorrang-tls", "crls": ["list.pem"]},
    "regulations": ["haarlem", "zaanstad"],
    "extraConfig": "level = \"warn\"\n\n[traces]\ncollector = \"http://collector.example:4318/v1/traces\"",
    "podMonitor": True,
    "prometheusRule": True,
}


def merged(base, over):
    if not isinstance(base, dict) or not isinstance(over, dict):
        return copy.deepcopy(over)
    return {**base, **{key: merged(base.get(key), value) for key, value in over.items()}}


def render(values):
    """Every document of the chart, or the message of the first template that refuses."""
    data = {"Values": merged(DEFAULTS, values), "Release": {"Name": "vr"},
            "Chart": {"AppVersion": META["appVersion"], "Name": META["name"]}}
    documents = []
    for template in sorted((CHART / "templates").glob("*.yaml")):
        done = subprocess.run([RENDER, template, json.dumps(data)], capture_output=True, text=True)
        if done.returncode:
            return done.stderr
        documents += [one for one in yaml.safe_load_all(done.stdout) if one]
    return documents


def demand(holds, what):
    if not holds:
        sys.exit(f"helm: {what}")


documents = render(GIVEN)
demand(isinstance(documents, list), documents)
by_kind = {one["kind"]: one for one in documents}
demand(sorted(by_kind) == ["ConfigMap", "NetworkPolicy", "PodMonitor", "PrometheusRule", "Service", "StatefulSet"],
       f"kinds: {list(by_kind)}")
for one in documents:
    demand(one["metadata"]["labels"]["app.kubernetes.io/instance"] == "vr", f"{one['kind']} has no instance label")

state = by_kind["StatefulSet"]["spec"]
pod = state["template"]["spec"]
container, = pod["containers"]
# Pod Security Standard "restricted", which Haven's restricted namespaces enforce.
demand(pod["securityContext"]["runAsNonRoot"] is True and pod["securityContext"]["runAsUser"] > 0, "it may run as root")
demand(pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", "no seccomp profile")
demand(container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                        "capabilities": {"drop": ["ALL"]}}, "the container may do more than it needs")
demand(pod["automountServiceAccountToken"] is False, "it has a token of the cluster")
demand(not any("hostPath" in volume for volume in pod["volumes"]) and "hostNetwork" not in pod, "it touches its host")
demand({"memory"} <= set(container["resources"]["limits"]) and container["resources"]["requests"], "no bounds")
demand(state["replicas"] == 1, "two processes cannot share a state folder")
demand(container["image"] == "registry.example/voorrang@sha256:" + "0" * 64, "the image is not the one that was named")



def taken(documents, name):
    """The configuration that was rendered, if the service takes it."""
    text, = [one["data"]["voorrang.toml"] for one in documents if one["kind"] == "ConfigMap"]
    (OUT / name).write_text(text)
    said = subprocess.run([PROGRAM, "doctor", "--json", "--config", OUT / name], capture_output=True, text=True)
    found = {one["code"]: one["grade"] for one in json.loads(said.stdout)["findings"]}
    demand(found.get("configuration") == "fine", f"the service does not take the configuration: {said.stdout}")
    return tomllib.loads(text)


config = taken(documents, "voorrang.toml")
demand(config["log"] == {"format": "json", "level": "warn"} and "traces" in config, "extraConfig is not where it belongs")

# Every key of the service's configuration can be set. Those that the chart writes itself:
ITS_OWN = {"listen", "state", "epoch_keys", "log_origin", "regulations", "access_log.anchor", "tls.certificate", "tls.key",
           "tls.client_roots", "tls.crls", "tls.without_crls", "documentation.listen", "internal.listen", "log.format"}
# Where the others go. What stands in no section is the empty name; a section that is not here goes into extraConfig.
PLACES = {"": ("topConfig",), "access_log": ("accessLog", "extra"), "tls": ("tls", "extra"), "limits": ("limits",),
          "documentation": ("documentation", "extra")}
# Other values than the defaults, where one more or the opposite is none that the service takes.
OTHERS = {
    "epoch_credentials": "/epoch-credentials", "profile": "/profiles/new.toml", "other_profiles": ["/profiles/old.toml"],
    "clock_right_on": "2027-03-01", "access_log.witnessed": ["/witnessed/checkpoint"],
    "access_log.witnesses": ["witness.example/w1+c1ce0b2f+BLhEL9Yl0hQAyeQ5Z9qLZGMgVwLRzvyMU0ZtqAZDs2dT"],
    "ldv.collector": "https://ldv.example/v1/traces", "ldv.ca": "/roots/ldv.pem", "ldv.register": "https://a.example/r",
    "traces.collector": "https://spans.example/v1/traces", "traces.ca": "/roots/spans.pem",
    "documentation.server": "https://voorrang.example:8443/v1", "documentation.contact_name": "Someone",
    "documentation.contact_url": "https://voorrang.example", "documentation.contact_email": "someone@voorrang.example",
    "tls.shut_out": ["00000099000000004001"], "tls.inways": ["key:" + "0" * 64], "tls.inway_header": "fsc-other",
    "tls.bound": {"corporation": ["issuer:" + "1" * 64]}, "log.level": "warn",
}


def keys_of(table):
    """Every key of a configuration with its value, by its dotted name; [tls.bound] has names of others in it."""
    return {f"{section}.{key}".lstrip("."): value
            for section, part in [("", {k: v for k, v in table.items() if not isinstance(v, dict)}),
                                  *((k, v) for k, v in table.items() if isinstance(v, dict))]
            for key, value in part.items()}


def another(name, value):
    """A value that is not the default."""
    if name in OTHERS:
        return OTHERS[name]
    demand(isinstance(value, int), f"{name} is a new key: give it a value in OTHERS")
    return not value if isinstance(value, bool) else value + 1


def line(key, value):
    """A key as TOML, which for these values is JSON."""
    if isinstance(value, dict):
        return f"\n[tls.{key}]\n" + "\n".join(f"{json.dumps(k)} = {json.dumps(v)}" for k, v in value.items())
    return f"{key} = {json.dumps(value)}"


def with_every_key(shipped):
    """Values that set every key of the shipped file to another value, and these."""
    wanted = {name: another(name, value) for name, value in keys_of(shipped).items() if name not in ITS_OWN}
    texts, sections = {}, {}
    for name, value in wanted.items():
        section, _, key = name.rpartition(".")
        demand(section != "internal", f"the chart cannot set {name}")
        (texts if section in PLACES else sections).setdefault(section, []).append(line(key, value))
    # The chart ends in [log].
    extra = ["\n".join(sections.pop("log"))] + [f"\n[{name}]\n" + "\n".join(lines) for name, lines in sections.items()]
    values = {"extraConfig": "\n".join(extra) + "\n", "documentation": {"enabled": True}}
    for section, lines in texts.items():
        place = values
        for part in PLACES[section][:-1]:
            place = place.setdefault(part, {})
        place[PLACES[section][-1]] = "\n".join(lines) + "\n"
    return values, wanted


shipped = tomllib.loads((ROOT / "config/default.toml").read_text())
every, wanted = with_every_key(shipped)
rendered = render(merged(GIVEN, every))
demand(isinstance(rendered, list), rendered)
all_of_it = keys_of(taken(rendered, "every-key.toml"))
missing = keys_of(shipped).keys() ^ all_of_it.keys()
demand(not missing, f"the chart cannot set {sorted(missing)}")
demand({name: all_of_it[name] for name in wanted} == wanted, "a value does not arrive where it belongs")
demand(not [name for name in wanted if wanted[name] == keys_of(shipped)[name]], "a value is the default: it shows nothing")
# The control: a key that no place of the chart can hold.
with_another = copy.deepcopy(shipped)
with_another["internal"]["new"] = 1
try:
    with_every_key(with_another)
except SystemExit as refused:
    demand("cannot set internal.new" in str(refused), f"the control was refused for another reason: {refused}")
else:
    demand(False, "a key that the chart cannot set is not noticed: this checks nothing")
unlisted = keys_of(taken(render(merged(GIVEN, {"tls": {"crls": [], "withoutCrls": True}})), "without-lists.toml"))
demand(unlisted["tls.crls"] == [] and unlisted["tls.without_crls"] is True, "withoutCrls does not arrive")

# Files that the configuration names besides are in volumes of one's own, and the environment has the last word.
beside = render(merged(GIVEN, {
    "tls": {"crls": ["list.pem", "/lists/other.pem"]},
    "extraVolumes": [{"name": "lists", "persistentVolumeClaim": {"claimName": "lists", "readOnly": True}}],
    "extraVolumeMounts": [{"name": "lists", "mountPath": "/lists", "readOnly": True}],
    "extraEnv": [{"name": "VOORRANG_LOG__FORMAT", "value": "text"}], "terminationGracePeriodSeconds": 90}))
demand(isinstance(beside, list), beside)
crls = taken(beside, "beside.toml")["tls"]["crls"]
demand(crls == ["/etc/voorrang/tls/list.pem", "/lists/other.pem"], f"lists are looked for in {crls}")
beside_pod, = [one["spec"]["template"]["spec"] for one in beside if one["kind"] == "StatefulSet"]
demand(beside_pod["volumes"] == pod["volumes"] + [{"name": "lists", "persistentVolumeClaim":
                                                   {"claimName": "lists", "readOnly": True}}], "a volume is not there")
demand(beside_pod["containers"][0]["volumeMounts"] ==
       container["volumeMounts"] + [{"name": "lists", "mountPath": "/lists", "readOnly": True}], "a mount is not there")
demand(beside_pod["containers"][0]["env"] == container["env"] + [{"name": "VOORRANG_LOG__FORMAT", "value": "text"}],
       "a variable is not there, or not the last one")
demand((pod["terminationGracePeriodSeconds"], beside_pod["terminationGracePeriodSeconds"]) == (45, 90), "no time to end")

# Every path of the configuration is one that is mounted, and what is written lies on three volumes.
mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
claims = {claim["metadata"]["name"] for claim in state["volumeClaimTemplates"]}
sources = claims | {volume["name"] for volume in pod["volumes"]}
demand({mount["name"] for mount in mounts.values()} == sources, f"mounts {sorted(mounts)} and volumes {sorted(sources)}")


def mount_of(path):
    return mounts[max((there for there in mounts if path == there or path.startswith(there + "/")), key=len)]


written = [config["state"], config["epoch_keys"], config["access_log"]["anchor"]]
env = {one["name"]: one["value"] for one in container["env"]}
demand([env[name] for name in ("VOORRANG_STATE", "VOORRANG_EPOCH_KEYS", "VOORRANG_ACCESS_LOG__ANCHOR")] == written,
       "the environment of the image and the configuration name other folders")
image = (ROOT / "packaging/container/Containerfile").read_text()
folders = dict(re.findall(r"(VOORRANG_(?:STATE|EPOCH_KEYS|ACCESS_LOG__ANCHOR))=(\S+)", image))
demand(len(folders) == 3 and all((env[name] + "/").startswith(path + "/") for name, path in folders.items()),
       f"the image and the chart name other folders: {folders}")
unit = (ROOT / "packaging/systemd/voorrang.service").read_text()
allocator = dict(re.findall(r"^Environment=(MIMALLOC_\w+)=(\S+)$", unit, re.M))
demand(allocator and allocator == dict(re.findall(r"(MIMALLOC_\w+)=(\S+)", image))
       == {name: value for name, value in env.items() if name.startswith("MIMALLOC_")},
       f"the unit, the image and the chart handle memory in other ways: {allocator}")
ignored = (ROOT / ".containerignore").read_text().split("\n")
demand({"target", ".git", "**/*.key"} <= set(ignored), "keys or builds come into the image")


def left_out(path):
    """Whether a file stays out of what the image is built from."""
    rules = [rule for rule in ignored if rule and not rule.startswith("#")]
    anywhere = [rule[3:] for rule in rules if rule.startswith("**/")]
    return any(path == rule or path.startswith(rule + "/") for rule in rules) or any(
        fnmatch(part, rule) for part in path.split("/") for rule in anywhere)


demand(left_out("certs/dev/ca.pem") and left_out("tests/a.key") and not left_out("src/keys/mod.rs"), "left_out is wrong")
sources = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
demand("Cargo.lock" in sources and not [path for path in sources if left_out(path)], "a source is in no image")
# What a stage copies is there: of this folder, or made by the stage before.
made = " ".join(re.findall(r"/out\S*", " ".join(re.findall(r"^RUN (?:.*\\\n)*.*$", image, re.M))))
copied = re.findall(r"^COPY ((?:--\S+ )*)(\S+) \S+$", image, re.M)
demand(len(copied) == 3 and len(copied) == image.count("\nCOPY "), f"the image copies something else: {copied}")
demand(all(path in made if "--from=" in options else (ROOT / path).exists() for options, path in copied),
       f"the image copies what is not there: {copied}")
# One compiler and one cargo-auditable for the package and the image.
manifest = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]
demand(f":{manifest['rust-version']}-" in image, "the image has another compiler than Cargo.toml names")
auditable, = re.findall(r"cargo-auditable --version (\S+)", image)
demand(f"cargo-auditable@{auditable} " in (ROOT / "packaging/debian.sh").read_text(), "package and image audit otherwise")
# The alarms name the job, which is what the monitor makes of this label.
label = by_kind["PodMonitor"]["spec"]["jobLabel"]
alarms = yaml.safe_load((ROOT / "packaging/prometheus/alerts.yml").read_text())
demand(by_kind["PrometheusRule"]["spec"] == alarms, "the chart's alarms are others than those of packaging/prometheus")
rules = alarms["groups"][0]["rules"]
down, = [rule["expr"] for rule in rules if rule["alert"] == "VoorrangDown"]
demand(f'job="{state["template"]["metadata"]["labels"][label]}"' in down and "absent" in down, "nobody hears that it is gone")
volumes = {mount_of(path)["name"] for path in written}
demand(volumes == {"state", "epochs", "anchor"} == claims, "three folders, three volumes")
files = [config["tls"][key] for key in ("certificate", "key", "client_roots")]
read = [*config["regulations"], *config["tls"]["crls"], *files]
demand(all(mount_of(path).get("readOnly") for path in read), "what is only read is mounted read-only")

ports = {port["name"]: port["containerPort"] for port in container["ports"]}
for name, key in (("https", config["listen"]), ("internal", config["internal"]["listen"])):
    demand(str(ports[name]) == key.rsplit(":", 1)[1], f"port {name} is not the one that the service listens on")
for probe, path in (("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
    demand(container[probe]["httpGet"] == {"path": path, "port": "internal"}, f"{probe} asks elsewhere")
service = by_kind["Service"]["spec"]
demand([port["targetPort"] for port in service["ports"]] == ["https"], "the service shows more than its interface")
demand(service["selector"] == state["selector"]["matchLabels"] == state["template"]["metadata"]["labels"], "labels differ")
policy = by_kind["NetworkPolicy"]["spec"]
demand(policy["policyTypes"] == ["Ingress", "Egress"] and policy["egress"] == [], "it may reach anything")
demand(policy["ingress"][1]["from"], "everybody reads its numbers")

def checksum(values):
    pod, = [one["spec"]["template"] for one in render(values) if one["kind"] == "StatefulSet"]
    return pod["metadata"]["annotations"]["checksum/values"]


louder = merged(GIVEN, {"extraConfig": "level = \"debug\""})
demand(checksum(GIVEN) == checksum(GIVEN) != checksum(louder), "another configuration is no other pod")

# The document, where it is wanted: one more port, everywhere, and nothing else.
demand("documentation" not in config, "the document is published unasked")
peers = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "developers"}}}]
public = {one["kind"]: one for one in render(merged(GIVEN, {"documentation": {"enabled": True, "from": peers}}))}
listen = tomllib.loads(public["ConfigMap"]["data"]["voorrang.toml"])["documentation"]["listen"]
opened = {port["name"]: port["containerPort"]
          for port in public["StatefulSet"]["spec"]["template"]["spec"]["containers"][0]["ports"]}
demand(opened == {**ports, "documentation": int(listen.rsplit(":", 1)[1])}, f"ports with the document: {opened}")
demand([port["targetPort"] for port in public["Service"]["spec"]["ports"]] == ["https", "documentation"], "no way to it")
demand(public["NetworkPolicy"]["spec"]["ingress"][2:] == [{"ports": [{"port": "documentation"}], "from": peers}],
       "the document's peers are not those that were named")

by_tag = [one for one in render(merged(GIVEN, {"image": {"digest": ""}})) if one["kind"] == "StatefulSet"]
demand(by_tag[0]["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.example/voorrang:" + META["appVersion"],
       "without a digest the image is not the one of this version")

# What must be given is asked for by name, and nothing else is needed.
for missing in ("logOrigin", "tls.secretName", "regulations", "image.repository"):
    values = copy.deepcopy(GIVEN)
    place, last = values, missing.split(".")[-1]
    for part in missing.split(".")[:-1]:
        place = place[part]
    del place[last]
    refused = render(values)
    demand(isinstance(refused, str) and missing in refused, f"{missing} is not asked for: {refused}")
closed = render(merged(GIVEN, {"networkPolicy": {"monitoringFrom": []}}))
demand(isinstance(closed, str) and "monitoringFrom" in closed, "numbers are there for everybody")
unpublished = render(merged(GIVEN, {"documentation": {"extra": 'contact_name = "Someone"'}}))
demand(isinstance(unpublished, str) and "documentation.enabled" in unpublished, "documentation.extra is silently dropped")
least = {"image": {"repository": "r"}, "logOrigin": "o.example", "tls": {"secretName": "s"}, "regulations": ["haarlem"]}
least = render(least)
demand(isinstance(least, list) and len(least) == 4, f"the least values: {least}")
print(f"helm: {len(documents)} documents, {len(mounts)} mounts, {len(all_of_it)} keys of the configuration, 4 values asked "
      "for by name")
