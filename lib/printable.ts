/** Texts of strangers for people: names in a checkpoint are whoever's who made it. */

/** What a terminal would obey, ends a line for some, or turns the direction of what follows. */
const UNSEEN =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is meant
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** Of what is longer nobody reads the rest. */
const LONGEST = 2000;

/** A text without what would be obeyed instead of seen; tabs and line ends stay. */
export function printable(text: string): string {
  return text.replace(UNSEEN, '\ufffd');
}

/** JSON for a terminal: the same characters, escaped. */
export function printableJson(json: string): string {
  return json.replace(UNSEEN, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

/** A printable text that is not too long. */
export function shortened(text: string, longest = LONGEST): string {
  if (text.length <= longest) return printable(text);
  return `${printable(text.slice(0, longest))}… (${text.length} characters)`;
}

/** A text of a stranger's on one line. */
export function oneLine(text: string, longest?: number): string {
  return shortened(text, longest).replace(/\s*[\t\n]\s*/g, ' ');
}

/** Words of strangers as one scalar of YAML. */
export function yaml(text: string): string {
  // A string of JSON is one of YAML.
  return /^[a-z][\w.-]*$/i.test(text) ? text : printableJson(JSON.stringify(text));
}

/** Text inside of a line or a table's cell of Markdown, without any meaning to it or to HTML. */
export function markdown(text: string): string {
  // Underscores inside of a word mean nothing.
  const markup = /[\\`*[\]<>&|~$]|(?<![a-z\d])_|_(?![a-z\d])/gi;
  return oneLine(text).replace(markup, '\\$&');
}
