// SPDX-License-Identifier: AGPL-3.0-or-later
// The published @converse/headless has this library inside its bundle already.
export default {};
