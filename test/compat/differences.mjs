// Where Holdfast is meant to differ from the workerd binary: case name -> [reason, what Holdfast answers].
// A case listed here fails when Holdfast no longer differs in this way, so that the table stays true.
export const differences = {};
