-- What one sidecar says about one key or organization: what it gives back, what it holds, what its requests need.
-- Answers how the limits stand, what it may hold besides, and for each request 0 or the limit that refuses it.
--
-- One hash holds all there is to know, so one slot of a cluster does, and losing it is a fresh start and nothing worse:
--   rn rl ra   requests: limit, level in sixths of a request, time of the last step
--   tn tl ta   tokens: limit, level in sixty-thousandths of a token, time of the last refill
--   cn ce h:*  in flight: their sum, when the first hold may end, and each sidecar's hold and its end
-- A limit of -1 is none. Time is the store's own, in milliseconds.
local key, holder, lease = KEYS[1], 'h:' .. ARGV[1], tonumber(ARGV[2])
local function arg(i) return tonumber(ARGV[i]) end
local r_limit, r_back, r_more = arg(3), arg(4), arg(5)
local t_limit, t_back, t_more = arg(6), arg(7), arg(8)
local c_limit, c_held, c_more = arg(9), arg(10), arg(11)
local SIXTH, STEP, TOKEN, DEEPEST = 6, 10000, 60000, -9e15
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local was = redis.call('HMGET', key, 'rn', 'rl', 'ra', 'tn', 'tl', 'ta', 'cn', 'ce')
local function whole(value) return string.format('%.0f', value) end

-- A level as it stands now, and the time up to which it is refilled. A changed limit keeps the share that is left.
local function level(limit, unit, step, first)
  local full, old = limit * unit, tonumber(was[first])
  if not old then return full, now end
  local left, at = tonumber(was[first + 1]), tonumber(was[first + 2])
  local steps = math.max(0, math.floor((now - at) / step))
  left, at = math.min(old * unit, left + steps * old), math.min(now, at + steps * step)
  if old ~= limit and left > 0 then left = math.floor(left / old * limit) end
  if left >= full then return full, now end
  return left, at
end

local rl, ra, tl, ta, sum, ends = 0, now, 0, now, 0, 0
if r_limit >= 0 then
  rl, ra = level(r_limit, SIXTH, STEP, 1)
  rl = math.min(r_limit * SIXTH, rl + r_back * SIXTH)
end
if t_limit >= 0 then
  tl, ta = level(t_limit, TOKEN, 1, 4)
  tl = math.max(DEEPEST, math.min(t_limit * TOKEN, tl + t_back * TOKEN))
end
if c_limit >= 0 then
  sum, ends = tonumber(was[7]) or 0, tonumber(was[8]) or 0
  if now >= ends then
    sum, ends = 0, now + lease
    local all = redis.call('HGETALL', key)
    for i = 1, #all, 2 do
      if string.sub(all[i], 1, 2) == 'h:' then
        local count, until_ = string.match(all[i + 1], '(%d+) (%d+)')
        if tonumber(until_) <= now then
          redis.call('HDEL', key, all[i])
        else
          sum, ends = sum + tonumber(count), math.min(ends, tonumber(until_))
        end
      end
    end
  end
  local before = redis.call('HGET', key, holder)
  if before then sum = sum - tonumber(string.match(before, '%d+')) end
  sum = sum + c_held
end

local verdicts, granted = {}, 0
for i = 12, #ARGV do
  local need = tonumber(ARGV[i]) * TOKEN
  if c_limit >= 0 and sum >= c_limit then
    verdicts[#verdicts + 1] = 1
  elseif t_limit >= 0 and tl < need then
    verdicts[#verdicts + 1] = 2
  elseif r_limit >= 0 and rl < SIXTH then
    verdicts[#verdicts + 1] = 3
  else
    sum, tl, rl, granted = sum + 1, tl - need, rl - SIXTH, granted + 1
    verdicts[#verdicts + 1] = 0
  end
end

-- What is lent ahead shrinks with what is left, so that sidecars do not sit on the last of it.
local function ahead(more, left) return math.max(0, math.min(more, math.floor(left / 16))) end
if r_limit >= 0 then
  r_more = ahead(r_more, rl / SIXTH)
  rl = rl - r_more * SIXTH
  redis.call('HSET', key, 'rn', whole(r_limit), 'rl', whole(rl), 'ra', whole(ra))
else
  rl, r_more = 0, 0
end
if t_limit >= 0 then
  t_more = ahead(t_more, tl / TOKEN)
  tl = tl - t_more * TOKEN
  redis.call('HSET', key, 'tn', whole(t_limit), 'tl', whole(tl), 'ta', whole(ta))
else
  tl, t_more = 0, 0
end
if c_limit >= 0 then
  c_more = ahead(c_more, c_limit - sum)
  sum = sum + c_more
  local mine = c_held + granted + c_more
  if mine > 0 then
    redis.call('HSET', key, holder, whole(mine) .. ' ' .. whole(now + lease))
  else
    redis.call('HDEL', key, holder)
  end
  redis.call('HSET', key, 'cn', whole(sum), 'ce', whole(ends))
else
  sum, c_more = 0, 0
end

-- It is forgotten a minute after it would say no more than nothing says.
local rest = lease
if r_limit > 0 then rest = math.max(rest, ((r_limit * SIXTH - rl) / r_limit + 1) * STEP) end
if t_limit > 0 then rest = math.max(rest, (t_limit * TOKEN - tl) / t_limit) end
if r_limit >= 0 or t_limit >= 0 or c_limit >= 0 then
  redis.call('PEXPIRE', key, whole(math.min(rest, 1e12) + 60000))
end
local answer = { rl, now - ra, tl, sum, r_more, t_more, c_more }
for i = 1, #verdicts do answer[#answer + 1] = verdicts[i] end
return answer
