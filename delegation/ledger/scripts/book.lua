-- book: what locks this partition tells of, page by page; or one of them.
-- KEYS: layout, book; ARGV from 5: id or empty, cursor, count, then for how long ends are kept
-- Answers the next cursor, and for each lock: id, begins at, ends at, how it was ended, description;
-- what is not is empty.

local problem = unwell()
if problem then return answer(problem) end

local function text(number) return number and string.format('%d', number) or '' end

local page = {'0', {}}
if ARGV[5] == '' then
  page = redis.call('HSCAN', KEYS[2], ARGV[6], 'COUNT', ARGV[7])
else
  local packed = redis.call('HGET', KEYS[2], ARGV[5])
  if packed then page[2] = {ARGV[5], packed} end
end

local found, now, keep = {}, milliseconds(), kept(8)
for position = 1, #page[2], 2 do
  local lock = cmsgpack.unpack(page[2][position + 1])
  if lock.d ~= '' and not is_forgotten(lock, now, keep) then
    local fields = {page[2][position], text(lock.b), text(lock.e), lock.x or '', lock.d}
    for _, field in ipairs(fields) do found[#found + 1] = field end
  end
end
return answer('ok', text(now), page[1], found)
