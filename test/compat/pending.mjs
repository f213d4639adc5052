// Cases that Holdfast does not pass yet: name -> what is missing. They do not fail a run, until they pass: then the line
// has to go.
export const pending = {};
