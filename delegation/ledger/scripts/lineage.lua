-- What an event says of where an exchange came from: only the store knows it, beyond the parent.
-- A record holds it as text: the ids of the exchanges before it, nearest first, and the foreign token.

local function with_lineage(event, before, foreign)
  local lineage = ',"lineage":{"exchanges":[' .. before .. '],"foreign_parent":' .. foreign .. '}}'
  return string.sub(event, 1, -2) .. lineage
end
