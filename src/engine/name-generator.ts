import { randomInt } from "node:crypto";

const adjectives = [
  "amber", "ashen", "brave", "bright", "calm", "clear", "coarse", "cobalt", "cool", "deep", "dusky", "earthen", "even", "fine", "firm",
  "glazed", "gentle", "golden", "grand", "hardy", "hollow", "humble", "jade", "keen", "kind", "lively", "mellow", "mild", "misty", "noble",
  "pale", "patient", "plain", "proud", "quiet", "rapid", "ripe", "round", "rustic", "salty", "silent", "smooth", "stout", "sturdy", "sunny",
  "tall", "tender", "vivid", "warm", "wise",
] as const;

/** Kinds of Korean pottery, what is kept in it, and what it is made of. */
const nouns = [
  "anchovy", "ash", "barley", "basin", "bean", "bowl", "brine", "buncheong", "cabbage", "celadon", "chili", "clay", "crock", "cup", "doenjang",
  "feldspar", "flask", "garlic", "ganjang", "glaze", "gochujang", "hangari", "jar", "jeotgal", "jug", "kiln", "kimchi", "ladle", "lid", "makgeolli",
  "millet", "moon-jar", "onggi", "pickle", "pine", "pitcher", "plum", "pot", "radish", "rice", "sand", "sesame", "shard", "slip", "soy", "steamer",
  "stoneware", "tray", "vinegar", "wheel",
] as const;

/** A name that people can say; `isTaken` tells which are gone. */
export function generateName(isTaken: (name: string) => boolean): string {
  for (let attempt = 0; ; attempt++) {
    const name = `${pick(adjectives)}_${pick(nouns)}${attempt < 3 ? "" : randomInt(10 ** Math.min(attempt, 9))}`;
    if (!isTaken(name)) return name;
  }
}

function pick(words: readonly string[]): string {
  return words[randomInt(words.length)] ?? "onggi";
}
