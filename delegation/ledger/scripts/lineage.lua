-- A record: a lineage, the detail as the worker wrote it, and what events of later exchanges say of where
-- these came from, as text: the ids of the exchanges before this one, nearest first, and the foreign
-- token. Nothing in it has a name: there is one for each live exchange.

local function pack_record(lineage, detail, before, foreign)
  return cmsgpack.pack({table.concat(lineage.targets), lineage.links, detail, before, foreign})
end

local function read_record(packed)
  local targets, links, detail, before, foreign = unpack(cmsgpack.unpack(packed))
  return {
    lineage = lineage_of(targets, links), detail = detail, before = before, foreign = foreign,
  }
end

-- What an event says of where an exchange came from: only the store knows it, beyond the parent.
-- Where there is nothing before it, the parent is all.
local function with_lineage(event, before, foreign)
  if before == '' then return event end
  return event .. '[' .. foreign .. ',' .. before .. ']'
end
