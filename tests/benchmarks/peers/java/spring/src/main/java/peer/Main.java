package peer;

import com.nimbusds.jose.jwk.Curve;
import com.nimbusds.jose.jwk.JWKSet;
import com.nimbusds.jose.jwk.gen.ECKeyGenerator;
import com.nimbusds.jose.jwk.source.ImmutableJWKSet;
import com.nimbusds.jose.jwk.source.JWKSource;
import com.nimbusds.jose.proc.SecurityContext;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.security.Principal;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;
import org.springframework.core.annotation.Order;
import org.springframework.security.authentication.UsernamePasswordAuthenticationToken;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.crypto.password.PasswordEncoder;
import org.springframework.security.oauth2.core.AuthorizationGrantType;
import org.springframework.security.oauth2.core.ClientAuthenticationMethod;
import org.springframework.security.oauth2.core.OAuth2AccessToken;
import org.springframework.security.oauth2.jose.jws.SignatureAlgorithm;
import org.springframework.security.oauth2.jwt.JwsHeader;
import org.springframework.security.oauth2.jwt.Jwt;
import org.springframework.security.oauth2.jwt.JwtClaimsSet;
import org.springframework.security.oauth2.jwt.JwtEncoder;
import org.springframework.security.oauth2.jwt.JwtEncoderParameters;
import org.springframework.security.oauth2.jwt.NimbusJwtEncoder;
import org.springframework.security.oauth2.server.authorization.OAuth2Authorization;
import org.springframework.security.oauth2.server.authorization.OAuth2AuthorizationService;
import org.springframework.security.oauth2.server.authorization.OAuth2TokenType;
import org.springframework.security.oauth2.server.authorization.client.InMemoryRegisteredClientRepository;
import org.springframework.security.oauth2.server.authorization.client.RegisteredClient;
import org.springframework.security.oauth2.server.authorization.client.RegisteredClientRepository;
import org.springframework.security.oauth2.server.authorization.settings.AuthorizationServerSettings;
import org.springframework.security.oauth2.server.authorization.settings.TokenSettings;
import org.springframework.security.oauth2.server.authorization.token.JwtEncodingContext;
import org.springframework.security.oauth2.server.authorization.token.OAuth2TokenCustomizer;
import org.springframework.security.web.SecurityFilterChain;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;

/** Spring Authorization Server with one client that exchanges, and `/mint` for tokens to begin with. */
@SpringBootApplication
public class Main {

    public static void main(String[] arguments) {
        SpringApplication.run(Main.class, arguments);
    }

    @Bean
    @Order(1)
    SecurityFilterChain server(HttpSecurity http) throws Exception {
        http.oauth2AuthorizationServer(server -> http.securityMatcher(server.getEndpointsMatcher()));
        return http.build();
    }

    @Bean
    @Order(2)
    SecurityFilterChain others(HttpSecurity http) throws Exception {
        return http.authorizeHttpRequests(all -> all.anyRequest().permitAll()).build();
    }

    @Bean
    AuthorizationServerSettings settings() {
        return AuthorizationServerSettings.builder().build();
    }

    /** As with us: secrets are long and by chance. By itself each request would cost 80 ms of bcrypt. */
    @Bean
    PasswordEncoder secrets() {
        return new PasswordEncoder() {
            @Override
            public String encode(CharSequence secret) {
                return HexFormat.of().formatHex(digest(secret));
            }

            @Override
            public boolean matches(CharSequence secret, String kept) {
                return MessageDigest.isEqual(digest(secret), HexFormat.of().parseHex(kept));
            }
        };
    }

    private static byte[] digest(CharSequence secret) {
        try {
            return MessageDigest.getInstance("SHA-256").digest(secret.toString().getBytes(StandardCharsets.UTF_8));
        } catch (NoSuchAlgorithmException error) {
            throw new IllegalStateException(error);
        }
    }

    @Bean
    RegisteredClientRepository clients() {
        return new InMemoryRegisteredClientRepository(client("agent"), client("bench-mcp"));
    }

    private RegisteredClient client(String id) {
        return RegisteredClient.withId(id)
                .clientId(id)
                .clientSecret(secrets().encode("secret-of-" + id))
                .clientAuthenticationMethod(ClientAuthenticationMethod.CLIENT_SECRET_BASIC)
                .authorizationGrantType(AuthorizationGrantType.TOKEN_EXCHANGE)
                .scope("events.read")
                .tokenSettings(TokenSettings.builder().accessTokenTimeToLive(Duration.ofMinutes(5)).build())
                .build();
    }

    @Bean
    JWKSource<SecurityContext> keys() throws Exception {
        return new ImmutableJWKSet<>(new JWKSet(new ECKeyGenerator(Curve.P_256).keyID("one").generate()));
    }

    @Bean
    JwtEncoder encoder(JWKSource<SecurityContext> keys) {
        return new NimbusJwtEncoder(keys);
    }

    /** By itself it would sign with RS256. */
    @Bean
    OAuth2TokenCustomizer<JwtEncodingContext> signedByCurve() {
        return context -> {
            context.getJwsHeader().algorithm(SignatureAlgorithm.ES256);
            context.getClaims().audience(List.of("https://bench-api.example/api"));
        };
    }

    /** The one in memory that comes with it looks at every authorization there is, for each token. */
    @Bean
    OAuth2AuthorizationService authorizations() {
        Map<String, OAuth2Authorization> byToken = new ConcurrentHashMap<>();
        return new OAuth2AuthorizationService() {
            @Override
            public void save(OAuth2Authorization authorization) {
                byToken.put(authorization.getAccessToken().getToken().getTokenValue(), authorization);
            }

            @Override
            public void remove(OAuth2Authorization authorization) {
                byToken.remove(authorization.getAccessToken().getToken().getTokenValue());
            }

            @Override
            public OAuth2Authorization findById(String id) {
                throw new UnsupportedOperationException();
            }

            @Override
            public OAuth2Authorization findByToken(String token, OAuth2TokenType type) {
                return byToken.get(token);
            }
        };
    }

    @RestController
    static class Mint {

        private final JwtEncoder encoder;
        private final OAuth2AuthorizationService authorizations;
        private final RegisteredClientRepository clients;

        Mint(JwtEncoder encoder, OAuth2AuthorizationService authorizations, RegisteredClientRepository clients) {
            this.encoder = encoder;
            this.authorizations = authorizations;
            this.clients = clients;
        }

        /** So many tokens of people who have logged in at a client. */
        @GetMapping("/mint")
        List<String> mint(@RequestParam String client, @RequestParam int count) {
            List<String> minted = new ArrayList<>();
            for (int number = 0; number < count; number++) {
                minted.add(minted("person-" + number, clients.findByClientId(client)));
            }
            return minted;
        }

        private String minted(String person, RegisteredClient client) {
            Instant now = Instant.now();
            JwtClaimsSet claims = JwtClaimsSet.builder()
                    .issuer("https://login.example").subject(person).audience(List.of("https://bench-mcp.example/mcp"))
                    .issuedAt(now).expiresAt(now.plusSeconds(3600)).id(UUID.randomUUID().toString())
                    .claim("client_id", client.getClientId()).claim("scope", "events.read")
                    .build();
            Jwt jwt = encoder.encode(JwtEncoderParameters.from(
                    JwsHeader.with(SignatureAlgorithm.ES256).build(), claims));
            Set<String> scopes = Set.of("events.read");
            OAuth2AccessToken token = new OAuth2AccessToken(OAuth2AccessToken.TokenType.BEARER,
                    jwt.getTokenValue(), now, now.plusSeconds(3600), scopes);
            authorizations.save(OAuth2Authorization.withRegisteredClient(client)
                    .principalName(person)
                    .authorizationGrantType(AuthorizationGrantType.AUTHORIZATION_CODE)
                    .authorizedScopes(scopes)
                    .attribute(Principal.class.getName(),
                            UsernamePasswordAuthenticationToken.authenticated(person, null, List.of()))
                    .token(token, about -> about.put(
                            OAuth2Authorization.Token.CLAIMS_METADATA_NAME, jwt.getClaims()))
                    .build());
            return jwt.getTokenValue();
        }
    }
}
