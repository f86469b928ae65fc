// The magic device ids, as the simulator lists them.

import { byId, element, withCode } from "./dom.js";

const GROUPS = [
  ["perform", "Shows in the phone's check"],
  ["create", "Shows in create"],
  ["get", "Shows in the result"],
  ["delete", "Shows in revoke"],
];

let scenarios = [];
let version = "";

export function offerScenarios(listed, faceVersion) {
  scenarios = listed;
  version = faceVersion;
  const own = element("option", { value: "", textContent: "none: my own device id" });
  const groups = GROUPS.map(([call, label]) => group(label, listed.filter((each) => each.call === call)));
  byId("scenario").replaceChildren(own, ...groups);
  const outcomes = listed.filter((each) => each.call === "perform");
  byId("outcome").append(...outcomes.map(({ deviceId }) => option(deviceId)));
  byId("scenario").addEventListener("change", choose);
  byId("device-id").addEventListener("input", follow);
  byId("another-device").addEventListener("click", anotherDevice);
  byId("device-id").value = listed[0]?.deviceId ?? "";
  follow();
}

function group(label, listed) {
  return element("optgroup", { label }, ...listed.map(({ deviceId }) => option(deviceId)));
}

function option(deviceId) {
  return element("option", { value: deviceId, textContent: deviceId });
}

function choose() {
  byId("device-id").value = byId("scenario").value || "my-device";
  follow();
}

// The device id decides; the list only shows its scenario.
function follow() {
  const name = byId("device-id").value.split(".")[0].toLowerCase();
  const scenario = scenarios.find(({ deviceId }) => deviceId === name);
  byId("scenario").value = scenario?.deviceId ?? "";
  byId("scenario-explained").replaceChildren(
    ...withCode(scenario ? explained(scenario) : "Any other device id gives a real face."),
  );
}

function explained({ happens, appGets, appGetsIn }) {
  return `At Face: ${happens} The app gets: ${appGetsIn[version] ?? appGets}.`;
}

function anotherDevice() {
  const [name, number] = byId("device-id").value.split(/\.(\d+)$/);
  byId("device-id").value = `${name}.${Number(number ?? 1) + 1}`;
  follow();
}
