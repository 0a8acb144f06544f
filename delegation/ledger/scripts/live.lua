-- live: exchanges whose records have not expired, soonest first, a page at a time.
-- KEYS: layout, live; ARGV from 5: expiry to begin at, the entry of that expiry to begin after or empty,
--                     count

local problem = unwell()
if problem then return answer(problem) end

local from, now, after, page = tonumber(ARGV[5]), milliseconds(), nil, nil
if from >= now and ARGV[6] ~= '' then after = redis.call('ZRANK', KEYS[2], ARGV[6]) end
if after then
  -- By rank, for many expire together: whatever comes or goes, nothing is passed over or told twice.
  page = redis.call('ZRANGE', KEYS[2], after + 1, after + ARGV[7], 'WITHSCORES')
else
  page = redis.call('ZRANGEBYSCORE', KEYS[2], string.format('%d', math.max(from, now)), '+inf',
    'WITHSCORES', 'LIMIT', 0, ARGV[7])
end
return answer('ok', page)
