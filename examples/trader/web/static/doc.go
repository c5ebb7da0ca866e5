// Package static has the style sheet, the icon and the script of the pages, for whatever
// else is to look like them.
package static

import "embed"

// Files are served below /static/.
//
//go:embed style.css icon.svg live.js
var Files embed.FS
